"""A world in which every step is somebody's choice: stream, workers, deliverers, partner, clock.

It drives the real functions on a real database; only the wires between them are made of Python
lists, so that each message can be delayed, doubled or lost at will.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine

from models.events.event import Entry
from models.events.noted_moments import Id, NotedMoments, id_parts
from models.events.stream_contract import EVENT_FIELD
from models.intake.apply import apply_entries
from models.outbox.claim import claim, release
from models.outbox.creates import abandon_creates
from models.outbox.record import RecordPolicy, record
from models.outbox.values import Attempt, Claim, Verdict
from models.sweeps.closing import close_due
from models.sweeps.parking import end_windows

PARKING_WINDOW = timedelta(minutes=15)
CLOSE_DELAY = timedelta(hours=24)
CALL = timedelta(seconds=5)
LEASE = CALL + timedelta(seconds=20)
GRACE = timedelta(seconds=10)
RECORD_POLICY = RecordPolicy(GRACE, PARKING_WINDOW)
CREATE_AGE_MAX = timedelta(seconds=60)
EVENT_AGE_MAX = timedelta(days=3)  # longer than any life's events take, less than ids are ahead
BATCH_MAX = 500


class Died(BaseException):  # as `SystemExit`: nobody may handle it and go on
    """The process ended here; what it held is lost, what it had committed is not."""


@dataclass(slots=True)
class Hand:
    """Entries a worker has read and not finished: pending, in the stream's words."""

    entries: list[Entry] = field(default_factory=list)
    died: bool = False


@dataclass(frozen=True, slots=True)
class RehearsedObservation:
    """A sweep's: by the database's clock, by Redis', and the stream's last id then."""

    moment: datetime
    by_redis: datetime
    last_id: Id


@dataclass(frozen=True, slots=True)
class RehearsedCall:
    """One request as the partner saw it; the shape `judge_all` asks for."""

    operator: str
    ticket_id: str
    action: str
    idempotency_key: str
    body: bytes
    taken: bool
    repeats: bool
    received_at: datetime
    answered_at: datetime | None
    signature_ok: bool | None = True


@dataclass(slots=True)
class RehearsedPartner:
    """Keeps a ledger. What it took once it takes again, as a repeat."""

    ledger: list[RehearsedCall] = field(default_factory=list)
    _taken: dict[str, bytes] = field(default_factory=dict)

    def receive(self, claim: Claim, *, takes: bool, at: datetime, answered: bool) -> None:
        """Take or refuse the notice in *claim*. *answered*: the answer reaches its sender."""
        key = claim.idempotency_key
        self.ledger.append(
            RehearsedCall(
                operator=claim.operator_code,
                ticket_id=claim.ticket_id,
                action=claim.action,
                idempotency_key=key,
                body=claim.body.encode(),
                taken=takes,
                repeats=key in self._taken,
                received_at=at,
                answered_at=at if answered else None,
            )
        )
        if takes:
            self._taken.setdefault(key, claim.body.encode())


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
    redis_ahead: timedelta = timedelta()  # of the database's clock
    last_id: Id = (0, 0)  # the stream's
    came_at: dict[str, datetime] = field(default_factory=dict)  # when entries came in truth, by id
    looks: list[RehearsedObservation] = field(default_factory=list)

    def now(self, connection: Connection | None = None) -> datetime:  # noqa: ARG002 - the Clock's
        """The database's clock, by which everything is judged here."""
        return self.moment

    @property
    def redis_now(self) -> datetime:
        """Redis' clock."""
        return self.moment + self.redis_ahead

    def pass_time(self, by: timedelta) -> None:
        """Let time pass."""
        assert by >= timedelta(0), "time does not run backwards here"
        self.moment += by

    # --- the stream ---------------------------------------------------------------------------

    def publish(self, event: dict[str, Any] | bytes, *, ahead: timedelta = timedelta()) -> Entry:
        """XADD: from now on the event counts. No two in one millisecond, so that times differ.

        *ahead*: how far in the future the id lies that the publisher chose. Every later id is
        greater than that.
        """
        self.moment += timedelta(milliseconds=1)
        raw = event if isinstance(event, bytes) else json.dumps(event).encode()
        last, number = self.last_id
        chosen = int((self.redis_now + ahead).timestamp() * 1000)
        self.last_id = (chosen, 0) if chosen > last else (last, number + 1)
        entry = Entry("{}-{}".format(*self.last_id), {EVENT_FIELD: raw})
        self.came_at[entry.id] = self.moment
        self.unread.append(entry)
        self.published.append(entry)
        return entry

    def read(self, count: int) -> Hand | None:
        """XREADGROUP: what was undelivered is in a worker's hand now."""
        taken, self.unread = self.unread[:count], self.unread[count:]
        if not taken:
            return None
        hand = Hand(self._dated(taken))
        self.hands.append(hand)
        return hand

    def claim_stale(self, hand: Hand) -> Hand:
        """XAUTOCLAIM: another worker takes over, while the first may still be at work."""
        other = Hand(self._dated(hand.entries))
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
                event_age_max=EVENT_AGE_MAX,
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

    def watermark(self) -> datetime | None:
        """Note this moment; the newest one noted before what is unapplied came (rule 17)."""
        self.looks.append(RehearsedObservation(self.moment, self.redis_now, self.last_id))
        waiting = [id_parts(one.id) for hand in self.hands for one in hand.entries]
        waiting += [id_parts(one.id) for one in self.unread]
        safe = [look for look in self.looks if not waiting or look.last_id < min(waiting)]
        if not safe:
            return None
        self.looks = self.looks[len(safe) - 1 :]
        return safe[-1].moment

    def _dated(self, entries: Sequence[Entry]) -> list[Entry]:
        """Entries as they are read now: by when they were there, as consumers and sweeps saw it."""
        looks = NotedMoments((look.last_id, look.by_redis) for look in self.looks)
        dated = []
        for place, entry in enumerate(entries):
            known = (entry.read_at, entry.seen_at, looks.seen_at(entry.id))
            seen = min((one for one in known if one is not None), default=None)
            read_at = self.redis_now + place * timedelta.resolution
            dated.append(replace(entry, read_at=read_at, seen_at=seen))
        return dated

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
                    policy=RECORD_POLICY,
                )
        except Died:
            return

    # --- the clock's work ---------------------------------------------------------------------

    def sweep(self, *, dies: bool = False) -> int:
        """One round: close, end windows, give up creates. How much there was to do."""
        watermark = self.watermark()
        try:
            with self.transaction(doomed=dies) as connection:
                done = self._close_and_end_windows(connection, watermark)
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

    def _close_and_end_windows(self, connection: Connection, watermark: datetime | None) -> int:
        if watermark is None:
            return 0
        done = close_due(connection, now=self.moment, watermark=watermark, limit=BATCH_MAX)
        return done + end_windows(
            connection,
            now=self.moment,
            watermark=watermark,
            parking_window=PARKING_WINDOW,
            limit=BATCH_MAX,
        )

    @contextmanager
    def transaction(self, *, doomed: bool = False) -> Iterator[Connection]:
        """A transaction; a doomed one dies just before COMMIT."""
        with self.engine.begin() as connection:
            yield connection
            if doomed:
                raise Died
