"""Bodies removed at any moment, with a death between any two steps (rule 28).

Hypothesis chooses what publishers, deliverers, people, the clock and the sweep do. No call ever
goes out with another body than its first one; at the end all comes to rest, and nothing that was
sent or answered is stored beyond its time.
"""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, Row, text

from models.operators import change_operator
from models.operators.interventions import Person
from models.outbox.attempts import ATTEMPTS
from models.outbox.dead_letters import NotPossible, Resolution, resolve
from models.outbox.repeats import BodyRemoved
from models.outbox.send_again import send_again
from models.outbox.values import Attempt, Claim, Dead, Delivered, RetryLater, Unanswered, Verdict
from models.sweeps.bodies import LOOKED_AT_AGAIN, remove_bodies
from models.triage import HoldRefused
from tests.support.harness import CLOSE_DELAY, LEASE, PARKING_WINDOW, SLIP, TOOK, Harness
from tests.support.manual_clock import ManualClock
from tests.support.records import Records
from tests.support.searches import examples

TICKETS = ("A", "B")
ACTIONS = (
    *("ticket_create", "ticket_open", "ticket_win", "ticket_lost", "ticket_rollback"),
    "ticket_discard",
)
TERMS = (timedelta(hours=1), timedelta(days=2), timedelta(days=30))
PAUSE = timedelta(seconds=10)
DRAINED_AFTER = 400  # rounds; more mean that something never ends
ANNA = Person("anna", "their counsel asks for it")
OF_OPERATOR = "JOIN operator o ON o.id = t.operator WHERE o.code = :operator"
TICKET_ROWS = text(f"SELECT t.* FROM ticket t {OF_OPERATOR} ORDER BY t.id")  # noqa: S608 - a constant
NOTICES = text(f"""
    SELECT n.id, n.ended, n.head FROM ticket t JOIN notice n ON n.ticket = t.id
      {OF_OPERATOR} ORDER BY n.id""")  # noqa: S608 - a constant
UNENDED = text(f"""
    SELECT count(*) FROM ticket t {OF_OPERATOR}
       AND (t.parked > 0 OR t.unfinished > 0
            OR (t.closed_at IS NULL AND t.cancelled_at IS NULL))""")  # noqa: S608 - a constant
# Tickets of which something is stored beside the mark, or missing without it.
BROKEN = text(f"""
    SELECT t.ticket_id FROM ticket t {OF_OPERATOR}
       AND (EXISTS (SELECT FROM notice n WHERE n.ticket = t.id
                       AND (n.body = '') <> (t.bodies_removed_at IS NOT NULL))
            OR (t.bodies_removed_at IS NOT NULL
                AND (t.status NOT IN ('closed', 'cancelled') OR t.unfinished > 0
                     OR EXISTS (SELECT FROM notice n JOIN {ATTEMPTS} a ON a.notice = n.id
                                 WHERE n.ticket = t.id
                                   AND num_nonnulls(a.answer, a.remarks) > 0))))""")  # noqa: S608 - a constant
runs = count(1)


class KeptBodies(RuleBasedStateMachine):
    """One operator and two of its tickets."""

    engine: ClassVar[Engine]

    @initialize(keep=st.sampled_from(TERMS))
    def begin(self, keep: timedelta) -> None:
        self.operator = f"keeping{next(runs)}"
        self.harness = Harness(self.engine, ManualClock())
        self.harness.add_operator(self.operator)
        self.records = Records(self.engine)
        self.published: list[Any] = []
        self.held: list[Claim] = []
        self.sent: dict[tuple[object, ...], str] = {}
        self.a_person_changes_the_term(keep)

    # --- publishers and deliverers ---------------------------------------------------------------

    @rule(ticket=st.sampled_from(TICKETS), action=st.sampled_from(ACTIONS))
    def an_event_is_published(self, ticket: str, action: str) -> None:
        data = SLIP if action in ("ticket_create", "ticket_open") else {}
        self.harness.wait(TOOK)
        entry = self.harness.event(
            action, ticket, operator=self.operator, event_id=f"e{len(self.published)}", **data
        )
        self.published.append(entry)
        self.harness.publish(entry)

    @rule()
    def a_deliverer_claims(self) -> None:
        for claim in self.harness.claim():
            first = self.sent.setdefault((claim.ticket, claim.action, claim.generation), claim.body)
            assert claim.body == first != ""
            self.held.append(claim)

    @precondition(lambda self: self.held)
    @rule(
        place=st.integers(0, 5),
        verdict=st.sampled_from(
            (Delivered(), Delivered(), RetryLater(PAUSE), Unanswered(PAUSE), Dead("409"))
        ),
        dies=st.booleans(),
    )
    def an_outcome_is_recorded(self, place: int, verdict: Verdict, *, dies: bool) -> None:
        """However late: the claim may be long lost, its ticket closed and emptied."""
        claim = self.held[place % len(self.held)]
        attempt = Attempt(claim, verdict, TOOK, answer="dear company", remarks={"code": 0})
        with self.engine.connect() as connection:
            self.harness.record_within(connection, attempt)
            connection.rollback() if dies else connection.commit()
        if not dies:
            self.held.remove(claim)

    # --- people ----------------------------------------------------------------------------------

    @rule(delivered=st.booleans())
    def a_person_resolves_what_is_dead(self, *, delivered: bool) -> None:
        with self.engine.begin() as connection:
            for notice in self._notices():
                if notice.ended == "dead" and notice.head:
                    way = Resolution.SKIP_DELIVERED if delivered else Resolution.RETRY
                    resolve(connection, notice.id, way, now=self.harness.now)

    @rule(place=st.integers(0, 9), dies=st.booleans())
    def a_person_has_it_sent_again(self, place: int, *, dies: bool) -> None:
        notices = self._notices()
        if not notices:
            return
        with self.engine.connect() as connection:
            try:
                send_again(connection, notices[place % len(notices)].id, now=self.harness.now)
            except NotPossible:
                dies = True
            connection.rollback() if dies else connection.commit()

    @rule(ticket=st.sampled_from(TICKETS), dies=st.booleans())
    def a_person_holds_or_releases(self, ticket: str, *, dies: bool) -> None:
        row = next((each for each in self._tickets() if each.ticket_id == ticket), None)
        if row is None:
            return
        act = self.harness.hold_within if row.on_hold_at is None else self._release
        with self.engine.connect() as connection:
            try:
                act(connection, ticket, operator=self.operator)
            except HoldRefused:
                dies = True
            connection.rollback() if dies else connection.commit()

    @rule(keep=st.sampled_from((None, *TERMS)))
    def a_person_changes_the_term(self, keep: timedelta | None) -> None:
        self.keep = keep
        with self.engine.begin() as connection:
            change_operator(connection, self.operator, {"keep_bodies": keep}, person=ANNA)

    # --- the clock -------------------------------------------------------------------------------

    @rule(by=st.sampled_from((PAUSE, LEASE, PARKING_WINDOW, CLOSE_DELAY, *TERMS)))
    def time_passes(self, by: timedelta) -> None:
        self.harness.wait(by)
        self._sweep()

    @precondition(lambda self: self.published)
    @rule()
    def all_tickets_end(self) -> None:
        """What is claimed stays claimed: its outcome may still be recorded."""
        self._bring_to_rest()

    @rule(ticket=st.sampled_from(TICKETS), by=st.sampled_from(TERMS))
    def a_closing_is_not_taken_in_time(self, ticket: str, by: timedelta) -> None:
        """The ticket is closed, and what is left to be sent outlasts the partner's time."""
        self.an_event_is_published(ticket, "ticket_win")
        for _ in range(3):
            self.harness.deliver()
            self.harness.wait(LEASE)
        self.harness.wait(CLOSE_DELAY)
        self._sweep()
        self.harness.wait(by)
        self.the_sweep_removes_bodies(dies=False)

    @rule(dies=st.booleans())
    def the_sweep_removes_bodies(self, *, dies: bool) -> None:
        before = {row.id: row.bodies_removed_at for row in self._tickets()}
        with self.engine.connect() as connection:
            remove_bodies(connection, now=self.harness.now, limit=1000)
            connection.rollback() if dies else connection.commit()
        removed = [row for row in self._tickets() if row.bodies_removed_at != before[row.id]]
        for row in removed:
            assert not dies
            assert self.keep is not None
            assert (row.closed_at or row.cancelled_at) + self.keep < self.harness.now
            assert row.on_hold_at is None

    # --- what always holds -----------------------------------------------------------------------

    @invariant()
    def bodies_are_there_or_removed_as_a_whole(self) -> None:
        if hasattr(self, "keep"):
            with self.engine.connect() as connection:
                assert connection.execute(BROKEN, {"operator": self.operator}).all() == []

    def teardown(self) -> None:
        if not hasattr(self, "keep"):
            return
        self.an_event_is_published(TICKETS[0], "ticket_win")
        self.a_deliverer_claims()  # the outcome of what is sent now comes last
        self._bring_to_rest()
        self.a_person_changes_the_term(TERMS[0])
        for _ in range(2):  # what is needed is looked at again within a day
            self.harness.wait(LOOKED_AT_AGAIN + max(TERMS))
            self.the_sweep_removes_bodies(dies=False)
        stands = self._tickets()
        assert all(row.bodies_removed_at or row.status == "absent" for row in stands)
        while self.held:
            self.an_outcome_is_recorded(0, Unanswered(PAUSE), dies=False)
        for notice in self._notices():
            with self.engine.begin() as connection, pytest.raises(NotPossible) as refusal:
                send_again(connection, notice.id, now=self.harness.now)
            nothing = ("can be sent again", "is not sent again")
            assert isinstance(refusal.value, BodyRemoved) or any(
                each in str(refusal.value) for each in nothing
            )
        for entry in self.published:
            applied = self.harness.publish(self.harness.raw(entry.fields[b"event"]))
            assert {outcome for _, outcome in applied.outcomes} == {"duplicate"}
        assert self._tickets() == stands
        self.bodies_are_there_or_removed_as_a_whole()
        self.records.check()

    def _bring_to_rest(self) -> None:
        """End the tickets that exist: a result for each, everything taken, the delay over."""
        for _ in range(DRAINED_AFTER):
            self.harness.wait(CLOSE_DELAY)
            for row in self._tickets():
                if row.on_hold_at is not None:
                    self.a_person_holds_or_releases(row.ticket_id, dies=False)
            self._sweep()
            self.a_person_resolves_what_is_dead(delivered=True)
            self.harness.deliver()
            with self.engine.connect() as connection:
                if not connection.execute(UNENDED, {"operator": self.operator}).scalar_one():
                    return
            for row in self._tickets():
                self.harness.say("ticket_win", row.ticket_id, operator=self.operator)
        raise AssertionError("the tickets never end")

    def _sweep(self) -> None:
        self.harness.abandon_creates()
        self.harness.end_windows()
        self.harness.close_due()

    def _release(self, *of: Any, operator: str) -> None:  # noqa: ANN401 - handed on
        self.harness.release_ticket_within(*of, operator=operator)

    def _tickets(self) -> list[Row[Any]]:
        with self.engine.connect() as connection:
            return list(connection.execute(TICKET_ROWS, {"operator": self.operator}).all())

    def _notices(self) -> list[Row[Any]]:
        with self.engine.connect() as connection:
            return list(connection.execute(NOTICES, {"operator": self.operator}).all())


@pytest.fixture
def kept(engine: Engine) -> Iterator[type[KeptBodies]]:
    KeptBodies.engine = engine
    yield KeptBodies
    del KeptBodies.engine


def test_whatever_happens_no_call_lacks_its_body_and_none_is_kept_too_long(
    kept: type[KeptBodies],
) -> None:
    run_state_machine_as_test(
        kept,
        settings=settings(
            max_examples=examples(20),
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            # Shrinking does not pay: it takes minutes, and the steps that failed are printed.
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
        ),
    )
