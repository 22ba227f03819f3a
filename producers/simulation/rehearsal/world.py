"""A world in which the caller chooses every step: stream, workers, deliverers, partner, clock.

It drives the real functions on a real database; only the connections between them are Python
lists, so that each message can be delayed, repeated or lost at will.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, text

from models.events.event import Entry
from models.events.noted_moments import Id, NotedMoments, id_parts
from models.events.stream_contract import EVENT_FIELD
from models.intake.apply import apply_entries
from models.operators.interventions import Person
from models.outbox.claim import LeaseTerms, claim, release
from models.outbox.creates import abandon_creates
from models.outbox.dead_letters import NotPossible
from models.outbox.record import RecordPolicy, record
from models.outbox.send_again import send_again
from models.outbox.values import Attempt, Claim, Verdict
from models.partnerships.end import mark_ended
from models.partnerships.tickets import end_leftover_tickets
from models.sweeps.closing import close_due
from models.sweeps.parking import end_windows
from models.sweeps.retention import remove_expired
from models.triage import HoldRefused, Statement, hold_ticket, publish_by_hand, release_ticket
from models.vocabulary import Action, Status
from producers.simulation.rehearsal.partner import RehearsedPartner

PARKING_WINDOW = timedelta(minutes=15)
CLOSE_DELAY = timedelta(hours=24)
CALL = timedelta(seconds=5)
MARGIN = timedelta(seconds=20)
OWN_TIMEOUT = timedelta(seconds=40)  # of one of the operators; its leases follow
GRACE = timedelta(seconds=10)
RECORD_POLICY = RecordPolicy(GRACE, PARKING_WINDOW)
CREATE_AGE_MAX = timedelta(seconds=60)
EVENT_AGE_MAX = timedelta(days=3)  # longer than any life's events take, less than ids are ahead
BATCH_MAX = 500
ENDED_AT_ONCE = 1  # tickets of each ended partnership in a round: their end has steps, too
NEVER = datetime.min.replace(tzinfo=UTC)
SOMEBODY = Person("rehearsal", "to see what becomes of it")

ON_HOLD = text("""
    SELECT o.code, t.ticket_id FROM ticket t JOIN operator o ON o.id = t.operator
     WHERE t.operator = ANY(:operators) AND t.on_hold_at IS NOT NULL ORDER BY t.id""")


TICKETS = text("""
    SELECT o.code, t.ticket_id, t.status, t.result,
           ARRAY(SELECT e.event_id FROM ticket_event e WHERE e.ticket = t.id) AS events
      FROM ticket t JOIN operator o ON o.id = t.operator WHERE t.operator = ANY(:operators)""")
REJECTED_ENTRIES = text("SELECT entry_id FROM rejected_input")


class ProcessDied(BaseException):  # like `SystemExit`: no code may handle it and continue
    """The process ended here; what it held is lost, what it had committed is not."""


@dataclass(slots=True)
class ReadBatch:
    """Entries that a worker has read and not acknowledged: they are pending."""

    entries: list[Entry] = field(default_factory=list)
    died: bool = False


@dataclass(frozen=True, slots=True)
class RehearsedObservation:
    """What a sweep noted: the clocks of the database and of Redis, and the stream's last id."""

    moment: datetime
    by_redis: datetime
    last_id: Id


@dataclass(slots=True)
class World:
    """The whole world. *operators*: the ids of those whose notices are delivered."""

    engine: Engine
    operators: Sequence[int]
    moment: datetime
    partner: RehearsedPartner = field(default_factory=RehearsedPartner)
    unread: list[Entry] = field(default_factory=list)
    batches: list[ReadBatch] = field(default_factory=list)
    published: list[Entry] = field(default_factory=list)
    applied: list[Entry] = field(default_factory=list)  # in the order of the commits
    redis_ahead: timedelta = timedelta()  # of the database's clock
    last_id: Id = (0, 0)  # of the stream
    last_read_at: datetime = NEVER  # by the clock of Redis
    arrived_at: dict[str, datetime] = field(
        default_factory=dict
    )  # when entries really arrived, by id
    observations: list[RehearsedObservation] = field(default_factory=list)
    # when tickets were released last while their closing delay ran, by operator and id
    released_at: dict[tuple[str, str], datetime] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)  # codes of ended partnerships
    # how tickets stood that ended and were removed, by operator and id; what was logged with them
    removed: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    removed_events: set[str] = field(default_factory=set)
    removed_entries: set[str] = field(default_factory=set)
    # until when a call may be under way and its partner be working on it, by notice
    under_way: dict[int, datetime] = field(default_factory=dict)
    wrong_claims: list[str] = field(default_factory=list)  # those that rules 14 and 23 forbid

    def now(self, connection: Connection | None = None) -> datetime:  # noqa: ARG002 - the Clock's
        """The database's clock, which decides everything here."""
        return self.moment

    @property
    def redis_now(self) -> datetime:
        """The clock of Redis."""
        return self.moment + self.redis_ahead

    def pass_time(self, by: timedelta) -> None:
        """Let time pass."""
        assert by >= timedelta(0), "time does not run backwards here"
        self.moment += by

    # --- the stream ---------------------------------------------------------------------------

    def publish(self, event: dict[str, Any] | bytes, *, ahead: timedelta = timedelta()) -> Entry:
        """XADD: from now on the event counts. No two share a millisecond, so that times differ.

        *ahead*: how far the id that the publisher chose is in the future. Later ids are greater.
        """
        self.moment += timedelta(milliseconds=1)
        raw = event if isinstance(event, bytes) else json.dumps(event).encode()
        last, number = self.last_id
        chosen = int((self.redis_now + ahead).timestamp() * 1000)
        self.last_id = (chosen, 0) if chosen > last else (last, number + 1)
        entry = Entry("{}-{}".format(*self.last_id), {EVENT_FIELD: raw})
        self.arrived_at[entry.id] = self.moment
        self.unread.append(entry)
        self.published.append(entry)
        return entry

    def read(self, count: int) -> ReadBatch | None:
        """XREADGROUP: a worker has read what was not yet delivered."""
        taken, self.unread = self.unread[:count], self.unread[count:]
        if not taken:
            return None
        batch = ReadBatch(self._dated(taken))
        self.batches.append(batch)
        return batch

    def reclaim(self, batch: ReadBatch) -> ReadBatch:
        """XAUTOCLAIM: another worker reclaims the batch, while the first may still be working."""
        self.batches.append(ReadBatch(self._dated(batch.entries)))
        return self.batches[-1]

    def apply(self, batch: ReadBatch, *, dies: str | None = None) -> None:
        """Apply a batch. *dies*: `before_commit`, or `before_ack` (it is delivered again)."""
        doomed = dies == "before_commit"
        try:
            apply_entries(
                lambda: self.transaction(doomed=doomed),
                batch.entries,
                clock=self,
                parking_window=PARKING_WINDOW,
                event_age_max=EVENT_AGE_MAX,
                commits_along=not doomed,
            )
        except ProcessDied:
            batch.died = True
            return
        self.applied += batch.entries
        if dies == "before_ack":
            batch.died = True
            return
        finished = {entry.id for entry in batch.entries}
        for other in self.batches:  # XACK and XDEL: gone for all workers
            other.entries = [entry for entry in other.entries if entry.id not in finished]
        self.batches = [other for other in self.batches if other.entries]

    def watermark(self) -> datetime | None:
        """Note this moment; return the newest one before unapplied entries arrived (rule 17)."""
        self.observations.append(RehearsedObservation(self.moment, self.redis_now, self.last_id))
        waiting = [id_parts(entry.id) for batch in self.batches for entry in batch.entries]
        waiting += [id_parts(entry.id) for entry in self.unread]
        safe = [
            observation
            for observation in self.observations
            if not waiting or observation.last_id < min(waiting)
        ]
        if not safe:
            return None
        self.observations = self.observations[len(safe) - 1 :]
        return safe[-1].moment

    def _dated(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return entries as read now, with the times by which consumers and sweeps saw them."""
        observations = NotedMoments(
            (observation.last_id, observation.by_redis) for observation in self.observations
        )
        dated = []
        for entry in entries:
            known = (entry.read_at, entry.seen_at, observations.seen_at(entry.id))
            seen = min((time for time in known if time is not None), default=None)
            # No two reads are at the same time, whichever workers they are.
            self.last_read_at = max(self.redis_now, self.last_read_at + timedelta.resolution)
            dated.append(replace(entry, read_at=self.last_read_at, seen_at=seen))
        return dated

    # --- delivery -----------------------------------------------------------------------------

    def claim(self, count: int) -> list[Claim]:
        """A deliverer claims what is due."""
        with self.transaction() as connection:
            claims = claim(
                connection,
                now=self.moment,
                lease=LeaseTerms(CALL, MARGIN),
                room=dict.fromkeys(self.operators, count),
                create_age_max=CREATE_AGE_MAX,
            )
        on_hold = self.tickets_on_hold() if claims else []
        for claimed in claims:
            if self.moment < self.under_way.get(claimed.notice, self.moment):
                self.wrong_claims.append(f"{claimed.idempotency_key}: claimed while it was called")
            if (claimed.operator_code, claimed.ticket_id) in on_hold:
                self.wrong_claims.append(f"{claimed.ticket_id}: claimed while on hold")
            if (claimed.operator_code, claimed.ticket_id) in self.removed:
                self.wrong_claims.append(f"{claimed.ticket_id}: claimed after its removal")
        return claims

    def may_start(self, claimed: Claim) -> bool:
        """Return whether enough of the lease is left to start a call (rule 14)."""
        timeout = claimed.timeout or CALL
        return claimed.claimed_at + timeout + MARGIN - self.moment > timeout + GRACE

    def call(self, claimed: Claim, *, takes: bool, answered: bool) -> None:
        """Call the partner. The call may last as long as its timeout, the partner's work longer."""
        self.under_way[claimed.notice] = self.moment + (claimed.timeout or CALL) + GRACE
        self.partner.receive(claimed, takes=takes, at=self.moment, answered=answered)

    def release(self, claims: Sequence[Claim]) -> None:
        """Release claims whose call was not started."""
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
        except ProcessDied:
            return
        self.under_way.pop(claimed.notice, None)

    # --- people -------------------------------------------------------------------------------

    def send_again(self, notice_id: int, *, dies: bool = False) -> bool:
        """A person has a ticket sent again from this notice on. *dies*: before COMMIT.

        Returns False if that is not possible now.
        """
        try:
            with self.transaction(doomed=dies) as connection:
                send_again(connection, notice_id, now=self.moment)
        except (NotPossible, ProcessDied):
            return False
        return True

    def publish_by_hand(
        self, operator: str, ticket_id: str, action: Action, *, dies: bool = False
    ) -> bool:
        """A person publishes an event by hand (rule 26). Returns whether it was accepted."""
        try:
            with self.transaction(doomed=dies) as connection:
                publish_by_hand(
                    connection,
                    operator,
                    ticket_id,
                    Statement(action),
                    person=SOMEBODY,
                    now=self.moment,
                    window=PARKING_WINDOW,
                )
        except (NotPossible, ProcessDied):
            return False
        return True

    def hold_ticket(self, operator: str, ticket_id: str, *, dies: bool = False) -> bool:
        """Put a ticket on hold (rule 23). Returns whether it was possible."""
        try:
            with self.transaction(doomed=dies) as connection:
                hold_ticket(connection, operator, ticket_id, person=SOMEBODY, now=self.moment)
        except (HoldRefused, ProcessDied):
            return False
        return True

    def release_ticket(self, operator: str, ticket_id: str, *, dies: bool = False) -> None:
        """Release a ticket, if it is on hold."""
        try:
            with self.transaction(doomed=dies) as connection:
                done = release_ticket(
                    connection, operator, ticket_id, person=SOMEBODY, now=self.moment
                )
        except (HoldRefused, ProcessDied):
            return
        if done.close_due_at is not None:  # not due before this moment any more
            self.released_at[operator, ticket_id] = self.moment

    def tickets_on_hold(self) -> list[tuple[str, str]]:
        """Return the operators' codes and ticket ids of those on hold."""
        with self.transaction() as connection:
            rows = connection.execute(ON_HOLD, {"operators": list(self.operators)})
            return [(row.code, row.ticket_id) for row in rows]

    # --- the sweep ----------------------------------------------------------------------------

    def remove_ended(self, *, dies: bool = False) -> None:
        """Remove what has ended, as if the retention were over (rule 29). *dies*: before COMMIT."""
        self.moment += timedelta(milliseconds=1)  # so that all that ended did so before
        ours = {"operators": list(self.operators)}
        try:
            with self.transaction(doomed=dies) as connection:
                before = connection.execute(TICKETS, ours).all()
                entries = set(connection.execute(REJECTED_ENTRIES).scalars())
                remove_expired(connection, before=self.moment, limit=BATCH_MAX)
                left = {(row.code, row.ticket_id) for row in connection.execute(TICKETS, ours)}
        except ProcessDied:
            return
        self.removed_entries |= entries
        for row in before:
            if (row.code, row.ticket_id) in left:
                continue
            self.removed_events |= set(row.events)
            if row.status != Status.ABSENT:
                self.removed[row.code, row.ticket_id] = (row.status, row.result)

    def sweep(self, *, dies: bool = False) -> int:
        """One round: close, end windows, abandon creates, end tickets of ended partnerships.

        Returns how much there was to do.
        """
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
                done += end_leftover_tickets(connection, now=self.moment, limit=ENDED_AT_ONCE)
        except ProcessDied:
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

    # --- a person ---------------------------------------------------------------------------

    def end_partnership(self, code: str, *, dies: bool = False) -> None:
        """End the partnership with an operator; the sweep ends its tickets. *dies*: see `record`.

        One that has ended stays ended.
        """
        if code in self.ended:
            return
        try:
            with self.transaction(doomed=dies) as connection:
                mark_ended(connection, code, person=SOMEBODY, now=self.moment)
        except ProcessDied:
            return
        self.ended.add(code)

    @contextmanager
    def transaction(self, *, doomed: bool = False) -> Iterator[Connection]:
        """Begin a transaction; the process of a doomed one dies just before COMMIT."""
        with self.engine.begin() as connection:
            yield connection
            if doomed:
                raise ProcessDied
