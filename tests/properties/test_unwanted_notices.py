"""What a partner wants changes at any moment of any history (rule 27).

The acts and the invariants are those of `tests.properties.test_ticket_history`. Judged is what the
partner knows: never a result that was taken back, never the rollback of one that it has not got.
"""

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule
from sqlalchemy import Engine, text

from models.outbox.attempts import ATTEMPTS
from producers.simulation.rehearsal.invariants import broken_invariants
from producers.simulation.rehearsal.world import CLOSE_DELAY
from producers.simulation.verdict import check_all_sequences
from tests.properties.test_ticket_history import TicketHistory
from tests.support.histories import run_history

WISHES = (
    None,
    "ticket_update",
    "ticket_closed",
    "ticket_update,ticket_win,ticket_rollback",
    "ticket_win,ticket_lost,ticket_void,ticket_refund,ticket_rollback,ticket_closed",
)
CHANGE = text("UPDATE operator SET wants = :wants WHERE id = ANY(:operators)")
SENT = text(f"""
    SELECT n.action FROM notice n
     WHERE n.operator = ANY(:operators)
       AND ((n.ended = 'not_wanted' AND (n.claims > 0 OR n.head
                 OR n.action IN ('ticket_create', 'ticket_reserve', 'ticket_discard',
                                 'ticket_rollback')
                 OR EXISTS (SELECT FROM {ATTEMPTS} a WHERE a.notice = n.id)))
            OR (n.unwanted AND (n.head OR n.claims > 0)))""")  # noqa: S608 - a constant
# At rest: results that the partner got, are not the ticket's, and were not taken back.
FALSE_RESULTS = text("""
    SELECT t.ticket_id, n.action, n.generation
      FROM ticket t JOIN notice n ON n.ticket = t.id
     WHERE t.operator = ANY(:operators) AND n.ended = 'delivered' AND n.repeat = 0
       AND n.action IN ('ticket_win', 'ticket_lost', 'ticket_void', 'ticket_refund')
       AND NOT (t.status IN ('resulted', 'closed') AND n.generation = t.generation)
       AND NOT EXISTS (SELECT FROM notice r
                        WHERE r.ticket = t.id AND r.action = 'ticket_rollback'
                          AND r.generation = n.generation AND r.ended = 'delivered')""")


class WishesHistory(TicketHistory):
    """The same world, in which partners change their minds."""

    @rule(wants=st.sampled_from(WISHES))
    def the_wishes_change(self, wants: str | None) -> None:
        operators = list(self.world.operators)
        with self.world.transaction() as connection:
            connection.execute(CHANGE, {"wants": wants, "operators": operators})

    @invariant()
    def nothing_unwanted_was_sent(self) -> None:
        if hasattr(self, "world"):
            operators = {"operators": list(self.world.operators)}
            with self.world.transaction() as connection:
                assert connection.execute(SENT, operators).all() == []

    @invariant()
    def the_partner_got_a_legal_sequence(self) -> None:
        """Results and rollbacks in turn; a closing may come without the result of its ticket."""
        if hasattr(self, "world"):
            calls = [call for call in self.world.partner.ledger if call.action != "ticket_closed"]
            verdict = check_all_sequences(calls, close_delay=CLOSE_DELAY, complete=False)
            assert (verdict.violations, verdict.late_repeats) == ((), 0)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        for ticket in self.tickets:
            for event in ticket.on_the_way:
                self.world.publish(event)
        self.schedule.drain()
        assert broken_invariants(self.world) == []
        self.nothing_unwanted_was_sent()
        self.the_partner_got_a_legal_sequence()
        with self.world.transaction() as connection:
            operators = {"operators": list(self.world.operators)}
            assert connection.execute(FALSE_RESULTS, operators).all() == []


def test_whatever_it_wants_when_a_partner_never_knows_a_false_result(engine: Engine) -> None:
    run_history(WishesHistory, engine, examples=40)
