"""Any interleaving of anything, on the real core and a real PostgreSQL (promises 1 to 6).

Hypothesis chooses every step; what it may choose is what the world can do to Slipway. After each
step the database and the partner's ledger are checked; at the end all comes to rest and each
ticket is held against the reference.
"""

from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
)
from sqlalchemy import Engine, text

from models.outbox.values import Dead, Delivered, RetryLater, Unanswered, Verdict
from models.triage import BY_HAND
from models.vocabulary import Action
from producers.simulation.rehearsal.invariants import broken_invariants
from producers.simulation.rehearsal.lives import RehearsedLife, TrueEvent, expected_outcome
from producers.simulation.rehearsal.schedule import HeldClaim, Schedule
from producers.simulation.rehearsal.verdict import check_rehearsal
from producers.simulation.rehearsal.world import CLOSE_DELAY, OWN_TIMEOUT, World
from producers.simulation.verdict import check_all_sequences
from tests.support.arrivals import WITHIN_WINDOW, TicketArrivals
from tests.support.histories import History, run_history

TICKETS = 2
OPENED_IN = "EUR"
MISTAKES_MAX = 8  # at most 32 events wait on one ticket (rule 7)
RESULTS = ("ticket_win", "ticket_lost", "ticket_void", "ticket_refund")
VOIDED = {
    **dict.fromkeys(("price", "stake", "gross_payout", "net_payout"), 500),
    **dict.fromkeys(("wht_amount", "wht", "ext_amount", "ext"), 0),
    "ext_type": "inclusive",
}
SLIP = {**VOIDED, "ticket_code": "C", "player_id": "P", "ticket_type": "quickbet"}
SET_TIMEOUT = text("UPDATE operator SET timeout = :timeout WHERE id = :operator")
ADD_OPERATOR = text("""
    INSERT INTO operator (code, protocol, url, secret, announces_tickets)
    VALUES (:code, 'pam', 'http://partner', 'sealed', :announces) RETURNING id""")
NOTICES = text("SELECT id FROM notice WHERE operator = ANY(:operators) ORDER BY id")
runs = count(1)


class TicketHistory(History):
    """What publishers, workers, deliverers, the partner, the clock and bad luck can do."""

    @initialize(numbered=st.booleans(), redis_ahead=st.sampled_from((0, 0, 3, 3600)))
    def begin(self, *, numbered: bool, redis_ahead: int) -> None:
        run = next(runs)
        codes = [f"history{run}", f"history{run}a"]
        with self.engine.begin() as connection:
            ids = [
                connection.execute(
                    ADD_OPERATOR, {"code": code, "announces": code.endswith("a")}
                ).scalar_one()
                for code in codes
            ]
        begin = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=10 * run)
        self.world = World(self.engine, ids, begin, redis_ahead=timedelta(seconds=redis_ahead))
        self.schedule = Schedule(self.world, Random(0), [], contest=0)  # noqa: S311 - only drains
        self.mistakes = 0
        self.removed_at_rest = 0
        self.tickets = [TicketArrivals(code, f"{run}", numbered) for code in codes]

    # --- what happens, and how it reaches the stream ---------------------------------------------

    @rule(
        which=st.integers(0, TICKETS - 1),
        what=st.sampled_from((*RESULTS, "on")),
        currency=st.sampled_from((OPENED_IN, "JPY")),
    )
    def something_happens(self, which: int, what: str, currency: str) -> None:
        """The next event of a ticket that the rules allow; `on` withdraws the current result."""
        ticket = self.tickets[which]
        stands = expected_outcome(ticket.truths, announced=which == 1).status == "closed"
        correction = False
        if not ticket.truths and which == 1:
            what = "ticket_open"
        elif what == "on":
            what = "ticket_rollback" if stands else "ticket_win"
        elif stands:
            correction = True
        self.world.pass_time(timedelta(milliseconds=5))
        money: dict[str, Any] = dict(VOIDED) if what == "ticket_void" else {}
        if what in RESULTS and which == 0:  # nothing opened it: it is one of the amounts
            money["currency"] = currency
        truth = TrueEvent(what, tuple(sorted(money.items())), correction=correction)
        if which == 1 and what != "ticket_rollback":
            money["currency"] = OPENED_IN
        ticket.truths.append(truth)
        event: dict[str, Any] = {
            "event_id": f"{ticket.ticket_id}-{len(ticket.truths)}",
            "occurred_at": self.world.moment.isoformat(),
            "action": what,
            "data": {
                "operator": ticket.operator,
                "ticket_id": ticket.ticket_id,
                "correction": correction,
                **money,
            },
        }
        if ticket.numbered:
            event["sequence"] = len(ticket.truths)
        ticket.on_the_way.append(event)

    @rule(which=st.integers(0, TICKETS - 1), place=st.integers(0, 9))
    def an_event_arrives(self, which: int, place: int) -> None:
        ticket = self.tickets[which]
        if ticket.on_the_way:
            event = ticket.on_the_way.pop(place % len(ticket.on_the_way))
            self.world.publish(event)
            ticket.arrived.append((self.world.moment, event))

    @rule(which=st.integers(0, TICKETS - 1), place=st.integers(0, 9), with_new_id=st.booleans())
    def an_event_comes_again(self, which: int, place: int, *, with_new_id: bool) -> None:
        ticket = self.tickets[which]
        if ticket.arrived:
            moment, event = ticket.arrived[place % len(ticket.arrived)]
            if with_new_id:
                event = {**event, "event_id": f"{event['event_id']}r"}
            if self.world.moment - moment < WITHIN_WINDOW:
                self.world.publish(event)

    @rule(what=st.sampled_from((*RESULTS, "ticket_rollback", "ticket_update")))
    def another_currency_is_published(self, what: str) -> None:
        """A mistake: no event in another currency than the ticket's ever changes it."""
        ticket = self.tickets[1]
        self.world.pass_time(timedelta(milliseconds=5))  # the verdict tells events by their moment
        data = {"operator": ticket.operator, "ticket_id": ticket.ticket_id, **SLIP}
        mistake = {
            "event_id": f"{ticket.ticket_id}-mistake-{len(self.world.published)}",
            "occurred_at": self.world.moment.isoformat(),
            "action": what,
            "data": {**data, "currency": "JPY", "correction": True},
        }
        if self.mistakes < MISTAKES_MAX:
            self.mistakes += 1
            self.world.publish(mistake)

    @rule(ahead=st.sampled_from((1, 3600, 4 * 24 * 3600)))
    def a_publisher_chooses_an_id_from_the_future(self, ahead: int) -> None:
        """The entry is unreadable, and every later id is greater than its own."""
        self.world.publish(b"{", ahead=timedelta(seconds=ahead))

    # --- workers -------------------------------------------------------------------------------

    @rule(size=st.integers(1, 4))
    def a_worker_reads(self, size: int) -> None:
        self.world.read(size)

    @precondition(lambda self: self.world.batches)
    @rule(
        place=st.integers(0, 3), dies=st.sampled_from((None, None, "before_commit", "before_ack"))
    )
    def a_worker_applies(self, place: int, dies: str | None) -> None:
        self.world.apply(self.world.batches[place % len(self.world.batches)], dies=dies)

    @precondition(lambda self: 0 < len(self.world.batches) < 4)
    @rule(place=st.integers(0, 3))
    def another_takes_over(self, place: int) -> None:
        self.world.reclaim(self.world.batches[place % len(self.world.batches)])

    # --- deliverers ----------------------------------------------------------------------------

    @rule(size=st.integers(1, 2))
    def a_deliverer_claims(self, size: int) -> None:
        self.schedule.held += [HeldClaim(claim) for claim in self.world.claim(size)]

    @precondition(lambda self: self.schedule.held)
    @rule(
        place=st.integers(0, 3),
        how=st.sampled_from(("takes", "takes", "busy", "refuses", "taken unheard", "lost")),
    )
    def a_call_is_made(self, place: int, how: str) -> None:
        held = self.schedule.held[place % len(self.schedule.held)]
        if held.verdict is not None:
            return
        if not self.world.may_start(held.claim):
            self.world.release([held.claim])
            self.schedule.held.remove(held)
            return
        pause = timedelta(seconds=10)
        verdicts: dict[str, Verdict] = {
            "takes": Delivered(),
            "busy": RetryLater(pause),
            "refuses": Dead("409"),
            "taken unheard": Unanswered(pause),
            "lost": Unanswered(pause),
        }
        held.verdict = verdicts[how]
        self.world.call(
            held.claim,
            takes=how.startswith("take"),
            answered=how not in ("taken unheard", "lost"),
        )

    @precondition(lambda self: any(held.verdict for held in self.schedule.held))
    @rule(place=st.integers(0, 3), dies=st.sampled_from((False, False, True)))
    def an_outcome_is_recorded(self, place: int, *, dies: bool) -> None:
        called = [held for held in self.schedule.held if held.verdict is not None]
        held = called[place % len(called)]
        assert held.verdict is not None
        self.world.record(held.claim, held.verdict, dies=dies)
        if not dies:
            self.schedule.held.remove(held)

    @precondition(lambda self: self.schedule.held)
    @rule(place=st.integers(0, 3))
    def a_deliverer_dies(self, place: int) -> None:
        self.schedule.held.pop(place % len(self.schedule.held))

    # --- people --------------------------------------------------------------------------------

    @rule(which=st.integers(0, TICKETS - 1), timeout=st.sampled_from((None, OWN_TIMEOUT)))
    def a_person_changes_the_timeout(self, which: int, timeout: timedelta | None) -> None:
        """What is being called keeps the lease that it has (rule 14)."""
        with self.world.transaction() as connection:
            connection.execute(
                SET_TIMEOUT, {"operator": self.world.operators[which], "timeout": timeout}
            )

    @rule(place=st.integers(0, 9), dies=st.sampled_from((False, False, False, True)))
    def a_person_has_it_sent_again(self, place: int, *, dies: bool) -> None:
        """From any notice on, whatever is under way; refused while something is unfinished."""
        with self.world.transaction() as connection:
            ids = connection.execute(NOTICES, {"operators": list(self.world.operators)}).scalars()
            notices = ids.all()
        if notices:
            self.world.send_again(notices[place % len(notices)], dies=dies)

    @rule(which=st.integers(0, TICKETS - 1), dies=st.sampled_from((False, False, True)))
    def a_person_holds_a_ticket(self, which: int, *, dies: bool) -> None:
        ticket = self.tickets[which]
        self.world.hold_ticket(ticket.operator, ticket.ticket_id, dies=dies)

    @rule(which=st.integers(0, TICKETS - 1), dies=st.sampled_from((False, False, True)))
    def a_person_releases_a_ticket(self, which: int, *, dies: bool) -> None:
        ticket = self.tickets[which]
        self.world.release_ticket(ticket.operator, ticket.ticket_id, dies=dies)

    @rule(
        which=st.integers(0, TICKETS - 1),
        what=st.sampled_from(BY_HAND),
        dies=st.sampled_from((False, False, True)),
    )
    def a_person_publishes_by_hand(self, which: int, what: Action, *, dies: bool) -> None:
        """What the publisher has stated by then says no longer how the ticket ends."""
        ticket = self.tickets[which]
        if self.world.publish_by_hand(ticket.operator, ticket.ticket_id, what, dies=dies):
            ticket.by_hand = True

    # --- the clock -----------------------------------------------------------------------------

    @rule(seconds=st.sampled_from((0.001, 1, 11, 26, 61, 16 * 60, 24 * 3600)))
    def time_passes(self, seconds: float) -> None:
        self.world.pass_time(timedelta(seconds=seconds))

    @rule(dies=st.sampled_from((False, False, False, True)))
    def the_sweep_runs(self, *, dies: bool) -> None:
        self.world.sweep(dies=dies)

    @rule(dies=st.sampled_from((False, False, False, True)))
    def what_ended_is_removed(self, *, dies: bool) -> None:
        """As if the retention were over; events may come after it (rule 29)."""
        self.world.remove_ended(dies=dies)

    @precondition(lambda self: self.removed_at_rest < 1)
    @rule()
    def all_comes_to_rest_and_is_removed(self) -> None:
        """So that in most histories something comes after a removal."""
        self.removed_at_rest += 1
        self.schedule.drain()
        self.world.remove_ended()

    # --- what always holds ---------------------------------------------------------------------

    @invariant()
    def the_database_is_whole(self) -> None:
        if hasattr(self, "world"):
            assert broken_invariants(self.world) == []

    @invariant()
    def the_partner_got_a_legal_sequence(self) -> None:
        if hasattr(self, "world"):
            verdict = check_all_sequences(
                self.world.partner.ledger, close_delay=CLOSE_DELAY, complete=False
            )
            assert (verdict.violations, verdict.late_repeats) == ((), 0)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        for ticket in self.tickets:
            for event in ticket.on_the_way:
                self.world.publish(event)
                ticket.arrived.append((self.world.moment, event))
        self.schedule.drain()
        verdict = check_rehearsal(self.world, self.promised_lives())
        assert verdict.violations == []

    def promised_lives(self) -> list[RehearsedLife]:
        """Return those whose end is promised: all came in time, and nobody stated more by hand."""
        lives = [
            ticket.life()
            for ticket in self.tickets
            if ticket.in_time and ticket.truths and not ticket.by_hand
        ]
        return [life for life in lives if life.expected.status == "closed"]


def test_whatever_happens_the_ticket_ends_right_and_its_partner_gets_a_legal_sequence(
    engine: Engine,
) -> None:
    run_history(TicketHistory, engine, examples=100)


def test_whatever_comes_after_a_removal_is_rejected_and_its_partner_is_called_no_more(
    engine: Engine,
) -> None:
    """A history that is seldom met by chance: a correction, a repeat, and deaths on the way."""
    TicketHistory.engine = engine
    history = TicketHistory()
    history.begin(numbered=False, redis_ahead=0)
    history.something_happens(which=0, what="ticket_win", currency=OPENED_IN)
    history.an_event_arrives(which=0, place=0)
    history.all_comes_to_rest_and_is_removed()
    actions = [call.action for call in history.world.partner.ledger]
    history.something_happens(which=0, what="ticket_lost", currency=OPENED_IN)
    history.an_event_arrives(which=0, place=0)
    history.an_event_comes_again(which=0, place=1, with_new_id=True)
    history.a_worker_reads(size=4)
    history.a_worker_applies(place=0, dies="before_ack")
    history.another_takes_over(place=0)
    history.a_worker_applies(place=0, dies=None)
    history.a_person_publishes_by_hand(which=0, what=Action.LOST, dies=False)
    history.the_database_is_whole()
    history.teardown()

    assert actions == ["ticket_win", "ticket_closed"]
    assert [call.action for call in history.world.partner.ledger] == actions
    assert not history.tickets[0].by_hand
    del TicketHistory.engine
