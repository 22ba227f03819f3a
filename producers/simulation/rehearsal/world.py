"""A world in which every step is somebody's choice: stream, workers, deliverers, partner, clock.

It drives the real functions on a real database; only the wires between them are made of Python
lists, so that each message can be delayed, doubled or lost at will.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine

from models.closing import close_due
from models.events.event import Entry
from models.intake.apply import apply_entries
from models.outbox.abandon import abandon_creates
from models.outbox.claim import claim, release
from models.outbox.record import record
from models.outbox.values import Attempt, Claim, Verdict
from models.parking import end_windows
from producers.simulation.rehearsal.partner import RehearsedPartner

PARKING_WINDOW = timedelta(minutes=15)
CLOSE_DELAY = timedelta(hours=24)
CALL = timedelta(seconds=5)
LEASE = CALL + timedelta(seconds=20)
GRACE = timedelta(seconds=10)
CREATE_AGE_MAX = timedelta(seconds=60)
BATCH_MAX = 500


class Died(BaseException):  # as `SystemExit`: nobody may handle it and go on
    """The process ended here; what it held is lost, what it had committed is not."""


@dataclass(slots=True)
class Hand:
    """Entries a worker has read and not finished: pending, in the stream's words."""

    entries: list[Entry] = field(default_factory=list)
    died: bool = False


@dataclass(slots=True)
class World:
    """Everything there is. *operators*: those whose notices are delivered, by id."""

    engine: Engine
    operators: Sequence[int]
    moment: datetime
    partner: RehearsedPartner = field(default_factory=RehearsedPartner)
    unread: list[Entry] = field(default_factory=list)
    hands: list[Hand] = field(default_factory=list)
    published: list[Entry] = field(default_factory=list)
    applied: list[Entry] = field(default_factory=list)  # in the order of their commits
    count: int = 0

    def now(self, connection: Connection | None = None) -> datetime:  # noqa: ARG002 - the Clock's
        """The one clock of this world: the database's and Redis' alike."""
        return self.moment

    def pass_time(self, by: timedelta) -> None:
        """Let time pass."""
        assert by >= timedelta(0), "time does not run backwards here"
        self.moment += by

    # --- the stream ---------------------------------------------------------------------------

    def publish(self, event: dict[str, Any] | bytes) -> Entry:
        """XADD: from now on the event counts. No two in one millisecond, so that times differ."""
        self.count += 1
        self.moment += timedelta(milliseconds=1)
        raw = event if isinstance(event, bytes) else json.dumps(event).encode()
        entry = Entry(f"{int(self.moment.timestamp() * 1000)}-{self.count}", {b"event": raw})
        self.unread.append(entry)
        self.published.append(entry)
        return entry

    def read(self, count: int) -> Hand | None:
        """XREADGROUP: what was undelivered is in a worker's hand now."""
        taken, self.unread = self.unread[:count], self.unread[count:]
        if not taken:
            return None
        hand = Hand(taken)
        self.hands.append(hand)
        return hand

    def claim_stale(self, hand: Hand) -> Hand:
        """XAUTOCLAIM: another worker takes over, while the first may still be at work."""
        other = Hand([Entry(one.id, one.fields, one.deliveries) for one in hand.entries])
        self.hands.append(other)
        return other

    def apply(self, hand: Hand, *, dies: str | None = None) -> None:
        """Apply a hand. *dies*: `before_commit`, or `before_ack` (it is handed out again)."""
        doomed = dies == "before_commit"
        try:
            apply_entries(
                lambda: self.transaction(doomed=doomed),
                hand.entries,
                clock=self,
                parking_window=PARKING_WINDOW,
            )
        except Died:
            hand.died = True
            return
        self.applied += hand.entries
        if dies == "before_ack":
            hand.died = True
            return
        finished = {one.id for one in hand.entries}
        for other in self.hands:  # XACK and XDEL: gone for everybody
            other.entries = [one for one in other.entries if one.id not in finished]
        self.hands = [other for other in self.hands if other.entries]

    def horizon(self) -> datetime:
        """Before the oldest entry that is not applied, pending ones included (rule 17)."""
        waiting = [one.id for hand in self.hands for one in hand.entries]
        waiting += [one.id for one in self.unread]
        oldest = min((int(one.split("-")[0]) for one in waiting), default=None)
        if oldest is None:
            return self.moment
        return min(self.moment, datetime.fromtimestamp((oldest - 1) / 1000, UTC))

    # --- delivery -----------------------------------------------------------------------------

    def claim(self, count: int) -> list[Claim]:
        """A deliverer takes what is due."""
        with self.transaction() as connection:
            return claim(
                connection,
                now=self.moment,
                lease=LEASE,
                room=dict.fromkeys(self.operators, count),
                create_age_max=CREATE_AGE_MAX,
            )

    def may_start(self, claimed: Claim) -> bool:
        """A call starts only with enough of the lease left (rule 14)."""
        return claimed.claimed_at + LEASE - self.moment > CALL + GRACE

    def release(self, claims: Sequence[Claim]) -> None:
        """Give back what was not started."""
        with self.transaction() as connection:
            release(connection, claims)

    def record(self, claimed: Claim, verdict: Verdict, *, dies: bool = False) -> None:
        """Record one attempt. *dies*: before COMMIT."""
        try:
            with self.transaction(doomed=dies) as connection:
                record(
                    connection,
                    [Attempt(claimed, verdict, timedelta(milliseconds=20))],
                    now=self.moment,
                    partner_grace=GRACE,
                    parking_window=PARKING_WINDOW,
                )
        except Died:
            return

    # --- the clock's work ---------------------------------------------------------------------

    def sweep(self, *, dies: bool = False) -> int:
        """One round: close, end windows, give up creates. How much there was to do."""
        horizon = self.horizon()
        try:
            with self.transaction(doomed=dies) as connection:
                done = close_due(connection, now=self.moment, horizon=horizon, limit=BATCH_MAX)
                done += end_windows(
                    connection,
                    now=self.moment,
                    horizon=horizon,
                    parking_window=PARKING_WINDOW,
                    limit=BATCH_MAX,
                )
                done += abandon_creates(
                    connection,
                    now=self.moment,
                    age_max=CREATE_AGE_MAX,
                    parking_window=PARKING_WINDOW,
                    limit=BATCH_MAX,
                )
        except Died:
            return 0
        return done

    @contextmanager
    def transaction(self, *, doomed: bool = False) -> Iterator[Connection]:
        """A transaction; a doomed one dies just before COMMIT."""
        with self.engine.begin() as connection:
            yield connection
            if doomed:
                raise Died
