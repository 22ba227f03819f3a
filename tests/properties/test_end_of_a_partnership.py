"""Any interleaving of anything with the end of a partnership (rule 24), deaths included.

All that may happen in a ticket's history may happen here, and at any moment the partnership with
one operator or both ends. From then on nothing begins; in the end everything has ended.
"""

from datetime import timedelta

import pytest
from hypothesis import Phase
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from sqlalchemy import Connection, Engine, text

from producers.simulation.rehearsal.verdict import check_rehearsal
from producers.simulation.rehearsal.world import BATCH_MAX
from tests.properties.test_ticket_history import OPENED_IN, RESULTS, TICKETS, TicketHistory
from tests.support.histories import run_history

# What a partnership has when it ends, and must not get afterwards.
NOTICES = text("""
    SELECT count(*) FROM notice n JOIN operator o ON o.id = n.operator WHERE o.code = :code""")
LAST_ARRIVAL = text("SELECT coalesce(max(arrival), 0) FROM ticket_event")
TAKEN_LATER = text("""
    SELECT e.event_id, e.outcome FROM ticket_event e JOIN ticket t ON t.id = e.ticket
      JOIN operator o ON o.id = t.operator
     WHERE o.code = :code AND e.arrival > :arrival AND e.outcome <> 'rejected'""")
TICKETS_OF = text("""
    SELECT t.ticket_id FROM ticket t JOIN operator o ON o.id = t.operator
     WHERE o.code = :code ORDER BY 1""")


class EndOfAPartnership(TicketHistory):
    """A ticket's history, in which partnerships end."""

    @initialize()
    def none_has_ended(self) -> None:
        self.notices: dict[str, int] = {}  # at the end of the partnership, by the operator's code
        self.arrivals: dict[str, int] = {}
        self.tickets_then: dict[str, list[str]] = {}
        self.under_way: dict[str, set[tuple[int, int]]] = {}

    @rule(which=st.integers(0, TICKETS - 1), what=st.sampled_from((*RESULTS, "on")))
    def something_is_applied_at_once(self, which: int, what: str) -> None:
        """So that most partnerships have something when they end."""
        self.something_happens(which=which, what=what, currency=OPENED_IN)
        self.an_event_arrives(which=which, place=len(self.tickets[which].on_the_way) - 1)
        batch = self.world.read(BATCH_MAX)
        assert batch is not None, "one entry has just arrived"
        self.world.apply(batch)

    @precondition(lambda self: self.world.applied)
    @rule(which=st.integers(0, TICKETS - 1), dies=st.booleans())
    def the_partnership_ends(self, which: int, *, dies: bool) -> None:
        code = self.tickets[which].operator
        if code in self.world.ended:
            return
        self.world.end_partnership(code, dies=dies)
        if dies:
            return
        with self.engine.begin() as connection:
            self.notices[code] = self._notices(connection, code)
            self.arrivals[code] = connection.execute(LAST_ARRIVAL).scalar_one()
            self.tickets_then[code] = self._tickets(connection, code)
        self.under_way[code] = {
            (held.claim.notice, held.claim.number)
            for held in self.schedule.held
            if held.claim.operator_code == code
        }

    @invariant()
    def nothing_begins_after_the_end(self) -> None:
        if not hasattr(self, "notices"):
            return
        with self.engine.begin() as connection:
            for code, arrival in self.arrivals.items():
                taken = connection.execute(TAKEN_LATER, {"code": code, "arrival": arrival}).all()
                assert list(taken) == []
                assert self._notices(connection, code) == self.notices[code]
                assert self._tickets(connection, code) == self.tickets_then[code]
        claimed = {
            (held.claim.notice, held.claim.number)
            for held in self.schedule.held
            if held.claim.operator_code in self.notices
        }
        assert claimed <= set().union(*self.under_way.values()), "a notice of it was claimed"

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        for ticket in self.tickets:
            for event in ticket.on_the_way:
                self.world.publish(event)
                ticket.arrived.append((self.world.moment, event))
        while self.world.ended and self.world.sweep():
            pass
        self.schedule.drain()
        self.nothing_begins_after_the_end()
        others = [life for life in self.promised_lives() if life.operator not in self.world.ended]
        verdict = check_rehearsal(self.world, others)
        assert not verdict.violations, "\n".join(verdict.violations)

    @staticmethod
    def _notices(connection: Connection, code: str) -> int:
        count: int = connection.execute(NOTICES, {"code": code}).scalar_one()
        return count

    @staticmethod
    def _tickets(connection: Connection, code: str) -> list[str]:
        return list(connection.execute(TICKETS_OF, {"code": code}).scalars())


@pytest.mark.parametrize("dies", [False, True], ids=["at once", "after a death"])
@pytest.mark.parametrize("called", [False, True], ids=["waiting", "called"])
def test_what_has_notices_and_calls_ends_like_what_has_none(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, *, called: bool, dies: bool
) -> None:
    """One history that is certain to happen: chance seldom ends what has something."""
    monkeypatch.setattr(EndOfAPartnership, "engine", engine, raising=False)
    history = EndOfAPartnership()
    history.begin(numbered=False, redis_ahead=0)
    history.none_has_ended()
    code = history.tickets[0].operator
    history.something_is_applied_at_once(which=0, what="ticket_win")
    if called:
        history.a_deliverer_claims(size=1)
        history.a_call_is_made(place=0, how="takes")
    if dies:
        history.the_partnership_ends(which=0, dies=True)
        assert history.notices == {}
    history.the_partnership_ends(which=0, dies=False)
    assert history.notices == {code: 1}
    assert len(history.under_way[code]) == called

    history.something_is_applied_at_once(which=0, what="on")
    history.time_passes(seconds=timedelta(days=1).total_seconds())
    history.the_sweep_runs(dies=False)
    history.a_deliverer_claims(size=2)
    history.nothing_begins_after_the_end()
    history.teardown()


def test_whenever_a_partnership_ends_nothing_begins_and_everything_ends(engine: Engine) -> None:
    phases = (Phase.reuse, Phase.generate)
    run_history(EndOfAPartnership, engine, examples=40, phases=phases)
