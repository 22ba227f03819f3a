"""A seeded schedule: who does what next, and what goes wrong. The same seed, the same run."""

from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

from sqlalchemy import text

from models.outbox.dead_letters import Resolution, resolve
from models.outbox.values import Claim, Dead, Delivered, RetryLater, Unanswered, Verdict
from models.platform.timestamps import format_timestamp
from models.vocabulary import Action
from producers.simulation.rehearsal.lives import Arrival, RehearsedLife
from producers.simulation.rehearsal.world import PARKING_WINDOW, World

HANDS_MAX = 4
ROUNDS_MAX = 500  # of draining; more means that something never ends
FAULT_SHARE_MAX = 0.4
SLOW_RECORD_SHARE = 0.15  # of outcomes that are recorded a step later: nobody is at fault
EXACT_MOMENTS = 8  # how many closings and window ends are approached to the millisecond
AGAIN = timedelta(seconds=10)
IDS_AHEAD = (timedelta(seconds=5), timedelta(hours=1), timedelta(days=5))  # of Redis' clock
RUBBISH = (b"", b"{", b"[]", b'{"action":"ticket_win"}', b"\xff\xfe", b'{"data":{}}')

DEAD_NOTICES = text("SELECT id FROM notice WHERE ended = 'dead' AND operator = ANY(:operators)")
LEFT = text("""
    SELECT (SELECT count(*) FROM notice
             WHERE operator = ANY(:operators) AND (ended IS NULL OR ended = 'dead'))
         + (SELECT coalesce(sum(parked), 0) FROM ticket WHERE operator = ANY(:operators))
         + (SELECT count(*) FROM ticket
             WHERE operator = ANY(:operators) AND status IN ('new', 'resulted'))""")

NEXT = text("""
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
class Held:
    """A claim in a deliverer's hand, and what came of the call, once it was made."""

    claim: Claim
    verdict: Verdict | None = None


@dataclass(slots=True)
class Schedule:
    """Plays *lives* in *world*, one random step at a time."""

    world: World
    rng: Random
    lives: list[RehearsedLife]
    temper: float = 1.0  # how much goes wrong: 0 is a world without faults
    contest: float = 0.3  # share of exact closings whose result is withdrawn a moment before
    held: list[Held] = field(default_factory=list)
    contested: set[str] = field(default_factory=set)
    faults: int = 0

    def run(self) -> None:
        """Play to the end: everything published, applied, delivered, closed."""
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
        if self._fault(0.01):  # everybody pauses: leases run out in their owners' hands
            self.world.pass_time(timedelta(seconds=30))
        if arrivals[-1].at > self.world.moment + timedelta(seconds=5):
            self.world.pass_time(arrivals[-1].at - self.world.moment - timedelta(seconds=1))
        while arrivals and arrivals[-1].at <= self.world.moment:
            self.world.publish(arrivals.pop().event)
        if self._fault(0.02):
            ahead = self.rng.choice(IDS_AHEAD) if self._fault(0.2) else timedelta()
            self.world.publish(self.rng.choice(RUBBISH), ahead=ahead)

    def _step(self) -> None:
        world, rng = self.world, self.rng
        match rng.randrange(10):
            case 0 | 1 if len(world.hands) < HANDS_MAX:
                world.read(rng.choice((1, 7, 60)))
            case 2 | 3 | 4:
                self._apply()
            case 5 | 6:
                self.held += [Held(one) for one in world.claim(rng.choice((1, 8, 64)))]
            case 7 | 8:
                self._deliver(honest=False)
            case _:
                world.sweep(dies=self._fault(0.05))

    def _apply(self) -> None:
        if not self.world.hands:
            return
        hand = self.rng.choice(self.world.hands)
        if hand.died or self._fault(0.03):  # another takes over, dead or not
            hand = self.world.claim_stale(hand)
        dies = None
        if self._fault(0.12):
            dies = self.rng.choice(("before_commit", "before_ack"))
        self.world.apply(hand, dies=dies)

    def _deliver(self, *, honest: bool) -> None:
        """Take each claim in hand one step on: call, or record; or lose it."""
        kept: list[Held] = []
        for one in self.held:
            if one.verdict is None and not self._call(one, honest=honest):
                continue
            if not honest and self.rng.random() < SLOW_RECORD_SHARE:
                kept.append(one)
                continue
            if not honest and self._fault(0.02):
                continue  # its deliverer died; the partner may have it all the same
            dies = not honest and self._fault(0.02)
            assert one.verdict is not None, "a call that was made has its verdict"
            self.world.record(one.claim, one.verdict, dies=dies)
            if dies:
                kept.append(one)
        self.held = kept

    def _call(self, one: Held, *, honest: bool) -> bool:
        """Make the call, if the lease still allows it."""
        world = self.world
        if not world.may_start(one.claim):
            world.release([one.claim])
            return False
        one.verdict, takes = Delivered(), True
        if not honest and self._fault(0.12):
            one.verdict, takes = self.rng.choice(
                (
                    (RetryLater(AGAIN), False),
                    (RetryLater(AGAIN), False),
                    (Dead("404"), False),
                    (Unanswered(AGAIN), True),
                    (Unanswered(AGAIN), False),
                )
            )
        answered = not isinstance(one.verdict, Unanswered)
        world.partner.receive(one.claim, takes=takes, at=world.moment, answered=answered)
        return True

    def drain(self) -> None:
        """From here on everybody is honest: what is owed must come to its end."""
        for round_ in range(ROUNDS_MAX):
            while self.world.hands or self.world.read(500) is not None:
                self.world.apply(self.world.hands[0])
            self._revive_the_dead()
            self.held += [Held(one) for one in self.world.claim(500)]
            self._deliver(honest=True)
            done = self.world.sweep()
            if not self._left() and not self.held:
                return
            if not done and not self.held:
                self._wait_for_what_is_next(exactly=round_ < EXACT_MOMENTS)
        raise AssertionError(f"{self._left()} things never came to their end")

    def _wait_for_what_is_next(self, *, exactly: bool) -> None:
        """Let time pass until something is due; look a millisecond before it too, or far after."""
        with self.world.transaction() as connection:
            row = connection.execute(
                NEXT, {"operators": list(self.world.operators), "now": self.world.moment}
            ).first()
        if row is None:  # something is due already
            return
        if not exactly:
            self.world.pass_time(row.at - self.world.moment + PARKING_WINDOW)
            return
        moment = timedelta(milliseconds=1)
        self.world.pass_time(max(timedelta(), row.at - self.world.moment - moment))
        if row.ticket_id is not None and self.rng.random() < self.contest:
            self._contest(row.code, row.ticket_id)
        self.world.sweep()
        self.world.pass_time(moment)
        self.world.sweep()

    def _contest(self, operator: str, ticket_id: str) -> None:
        """Withdraw the result a moment before the ticket closes; the sweep comes first."""
        self.contested.add(ticket_id)
        named = {"operator": operator, "ticket_id": ticket_id}
        event = {"action": Action.ROLLBACK, "data": {**named, "reason": "contested"}}
        identity = {
            "event_id": f"{ticket_id}-contest",
            "occurred_at": format_timestamp(self.world.moment),
        }
        self.world.publish({**identity, **event})

    def _revive_the_dead(self) -> None:
        with self.world.transaction() as connection:
            found = connection.execute(DEAD_NOTICES, {"operators": list(self.world.operators)})
            for notice_id in found.scalars().all():
                resolve(connection, notice_id, Resolution.RETRY, now=self.world.moment)

    def _left(self) -> int:
        with self.world.transaction() as connection:
            return int(
                connection.execute(LEFT, {"operators": list(self.world.operators)}).scalar_one()
            )

    def _fault(self, share: float) -> bool:
        hit = self.rng.random() < min(FAULT_SHARE_MAX, share * self.temper)
        self.faults += hit
        return hit
