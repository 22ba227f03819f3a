"""A random schedule: what happens next, and what goes wrong. A seed always gives the same run."""

from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

from sqlalchemy import text

from models.outbox.dead_letters import Resolution, resolve
from models.outbox.values import Claim, Dead, Delivered, RetryLater, Unanswered, Verdict
from models.platform.timestamps import format_timestamp
from models.vocabulary import Action
from producers.simulation.rehearsal.invariants import closed_on_hold
from producers.simulation.rehearsal.lives import Arrival, RehearsedLife
from producers.simulation.rehearsal.world import PARKING_WINDOW, World

BATCHES_MAX = 4
ROUNDS_MAX = 500  # of draining; more mean that something never finishes
FAULT_SHARE_MAX = 0.4
SLOW_RECORD_SHARE = 0.15  # of outcomes that are recorded a step later, without a fault
SEND_AGAIN_SHARE = 0.05  # of steps in which a person has a ticket sent again
EXACT_MOMENTS = 8  # how many closings and window ends are tested to the millisecond
HOLD_SHARE = 0.2  # of exact closings that fall due while their ticket is on hold
AGAIN = timedelta(seconds=10)
IDS_AHEAD = (timedelta(seconds=5), timedelta(hours=1), timedelta(days=5))  # of the clock of Redis
MALFORMED_EVENTS = (b"", b"{", b"[]", b'{"action":"ticket_win"}', b"\xff\xfe", b'{"data":{}}')

FINISHED_NOTICES = text("""
    SELECT id FROM notice
     WHERE operator = ANY(:operators) AND ended = 'delivered' ORDER BY id""")
DEAD_NOTICES = text("SELECT id FROM notice WHERE ended = 'dead' AND operator = ANY(:operators)")
UNFINISHED = text("""
    SELECT (SELECT count(*) FROM notice
             WHERE operator = ANY(:operators) AND (ended IS NULL OR ended = 'dead'))
         + (SELECT coalesce(sum(parked), 0) FROM ticket WHERE operator = ANY(:operators))
         + (SELECT count(*) FROM ticket
             WHERE operator = ANY(:operators) AND status IN ('new', 'resulted'))""")

NEXT_DUE = text("""
    SELECT * FROM (
        SELECT t.close_due_at AS at, o.code, t.ticket_id
          FROM ticket t JOIN operator o ON o.id = t.operator
         WHERE t.operator = ANY(:operators) AND t.close_due_at IS NOT NULL
        UNION ALL
        SELECT e.park_until, NULL, NULL FROM ticket_event e JOIN ticket t ON t.id = e.ticket
         WHERE t.operator = ANY(:operators) AND e.outcome = 'parked'
        UNION ALL
        SELECT greatest(n.due_at, n.leased_until), NULL, NULL FROM notice n
         WHERE n.operator = ANY(:operators) AND n.head AND n.ended IS NULL) next
     WHERE at > :now ORDER BY at LIMIT 1""")


@dataclass(slots=True)
class HeldClaim:
    """A deliverer's claim, with the verdict once the call was made."""

    claim: Claim
    verdict: Verdict | None = None


@dataclass(slots=True)
class Schedule:
    """Plays *lives* in *world*, one random step at a time."""

    world: World
    rng: Random
    lives: list[RehearsedLife]
    fault_factor: float = 1.0  # how much goes wrong; 0 is a world without faults
    contest: float = 0.3  # share of exact closings whose result is withdrawn a moment before
    held: list[HeldClaim] = field(default_factory=list)
    contested: set[str] = field(default_factory=set)
    faults: int = 0
    sent_again: int = 0  # tickets, by a person (rule 22)

    def run(self) -> None:
        """Play until everything is published, applied, delivered and closed."""
        arrivals = sorted(
            (arrival for life in self.lives for arrival in life.arrivals),
            key=lambda arrival: arrival.at,
            reverse=True,
        )
        while arrivals:
            self._publish(arrivals)
            for _ in range(self.rng.randrange(1, 4)):
                self._step()
        self.drain()

    def _publish(self, arrivals: list[Arrival]) -> None:
        pause = self.rng.choice((0.001, 0.05, 0.5, 2.0))
        self.world.pass_time(timedelta(seconds=pause))
        if self._fault(0.01):  # everything pauses: leases expire while they are held
            self.world.pass_time(timedelta(seconds=30))
        if arrivals[-1].at > self.world.moment + timedelta(seconds=5):
            self.world.pass_time(arrivals[-1].at - self.world.moment - timedelta(seconds=1))
        while arrivals and arrivals[-1].at <= self.world.moment:
            self.world.publish(arrivals.pop().event)
        if self._fault(0.02):
            ahead = self.rng.choice(IDS_AHEAD) if self._fault(0.2) else timedelta()
            self.world.publish(self.rng.choice(MALFORMED_EVENTS), ahead=ahead)

    def _step(self) -> None:
        world, rng = self.world, self.rng
        if rng.random() < SEND_AGAIN_SHARE:
            self._send_again()
        match rng.randrange(11):
            case 0 | 1 if len(world.batches) < BATCHES_MAX:
                world.read(rng.choice((1, 7, 60)))
            case 2 | 3 | 4:
                self._apply()
            case 5 | 6:
                self.held += [HeldClaim(claim) for claim in world.claim(rng.choice((1, 8, 64)))]
            case 7 | 8:
                self._deliver(without_faults=False)
            case 9:
                self._hold_or_release()
            case _:
                world.sweep(dies=self._fault(0.05))

    def _send_again(self) -> None:
        """A person has a ticket sent again, from any of its notices."""
        with self.world.transaction() as connection:
            notices = connection.execute(
                FINISHED_NOTICES, {"operators": list(self.world.operators)}
            )
            delivered = notices.scalars().all()
        if delivered:
            chosen = self.rng.choice(delivered)
            self.sent_again += self.world.send_again(chosen, dies=self._fault(0.05))

    def _hold_or_release(self) -> None:
        """A person holds a ticket, or releases it."""
        life, dies = self.rng.choice(self.lives), self._fault(0.05)
        if not self.world.hold_ticket(life.operator, life.ticket_id, dies=dies):
            self.world.release_ticket(life.operator, life.ticket_id, dies=dies)

    def _apply(self) -> None:
        if not self.world.batches:
            return
        batch = self.rng.choice(self.world.batches)
        if batch.died or self._fault(0.03):  # another worker reclaims it, whether it died or not
            batch = self.world.reclaim(batch)
        dies = None
        if self._fault(0.12):
            dies = self.rng.choice(("before_commit", "before_ack"))
        self.world.apply(batch, dies=dies)

    def _deliver(self, *, without_faults: bool) -> None:
        """Advance each held claim one step: call, record, or lose it."""
        kept: list[HeldClaim] = []
        for held in self.held:
            if held.verdict is None and not self._call(held, without_faults=without_faults):
                continue
            if not without_faults and self.rng.random() < SLOW_RECORD_SHARE:
                kept.append(held)
                continue
            if not without_faults and self._fault(0.02):
                continue  # its deliverer died; the partner may have received it
            dies = not without_faults and self._fault(0.02)
            assert held.verdict is not None, "a call that was made has a verdict"
            self.world.record(held.claim, held.verdict, dies=dies)
            if dies:
                kept.append(held)
        self.held = kept

    def _call(self, held: HeldClaim, *, without_faults: bool) -> bool:
        """Make the call if the lease still allows it."""
        world = self.world
        if not world.may_start(held.claim):
            world.release([held.claim])
            return False
        held.verdict, takes = Delivered(), True
        if not without_faults and self._fault(0.12):
            held.verdict, takes = self.rng.choice(
                (
                    (RetryLater(AGAIN), False),
                    (RetryLater(AGAIN), False),
                    (Dead("404"), False),
                    (Unanswered(AGAIN), True),
                    (Unanswered(AGAIN), False),
                )
            )
        answered = not isinstance(held.verdict, Unanswered)
        world.call(held.claim, takes=takes, answered=answered)
        return True

    def drain(self) -> None:
        """Finish without faults: all that is undelivered must reach its end."""
        for round_ in range(ROUNDS_MAX):
            for operator, ticket_id in self.world.tickets_on_hold():
                self.world.release_ticket(operator, ticket_id)
            while self.world.batches or self.world.read(500) is not None:
                self.world.apply(self.world.batches[0])
            self._retry_dead_letters()
            self.held += [HeldClaim(claim) for claim in self.world.claim(500)]
            self._deliver(without_faults=True)
            done = self.world.sweep()
            if not self._unfinished() and not self.held:
                return
            if not done and not self.held:
                self._wait_until_next_due(exactly=round_ < EXACT_MOMENTS)
        raise AssertionError(f"{self._unfinished()} tickets or notices never reached their end")

    def _wait_until_next_due(self, *, exactly: bool) -> None:
        """Let time pass until something is due: sweep just before and then, or long after."""
        with self.world.transaction() as connection:
            row = connection.execute(
                NEXT_DUE, {"operators": list(self.world.operators), "now": self.world.moment}
            ).first()
        if row is None:  # something is due already
            return
        if not exactly:
            self.world.pass_time(row.at - self.world.moment + PARKING_WINDOW)
            return
        moment = timedelta(milliseconds=1)
        self.world.pass_time(max(timedelta(), row.at - self.world.moment - moment))
        if row.ticket_id is not None and self.rng.random() < HOLD_SHARE:
            self.world.hold_ticket(row.code, row.ticket_id)  # until the next round of draining
        if row.ticket_id is not None and self.rng.random() < self.contest:
            self._contest(row.code, row.ticket_id)
        self.world.sweep()
        self.world.pass_time(moment)
        self.world.sweep()
        if closed := closed_on_hold(self.world):
            raise AssertionError(f"closed while on hold: {closed}")

    def _contest(self, operator: str, ticket_id: str) -> None:
        """Roll the result back a moment before the ticket closes; the sweep runs first."""
        self.contested.add(ticket_id)
        named = {"operator": operator, "ticket_id": ticket_id}
        event = {"action": Action.ROLLBACK, "data": {**named, "reason": "contested"}}
        identity = {
            "event_id": f"{ticket_id}-contest",
            "occurred_at": format_timestamp(self.world.moment),
        }
        self.world.publish({**identity, **event})

    def _retry_dead_letters(self) -> None:
        with self.world.transaction() as connection:
            dead_notices = connection.execute(
                DEAD_NOTICES, {"operators": list(self.world.operators)}
            )
            for notice_id in dead_notices.scalars().all():
                resolve(connection, notice_id, Resolution.RETRY, now=self.world.moment)

    def _unfinished(self) -> int:
        with self.world.transaction() as connection:
            return int(
                connection.execute(
                    UNFINISHED, {"operators": list(self.world.operators)}
                ).scalar_one()
            )

    def _fault(self, share: float) -> bool:
        hit = self.rng.random() < min(FAULT_SHARE_MAX, share * self.fault_factor)
        self.faults += hit
        return hit
