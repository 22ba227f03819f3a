"""Rule 28 against what is under way: two real connections meet on one ticket."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection, event

from models.operators import change_operator
from models.operators.interventions import Person
from models.outbox.dead_letters import NotPossible
from models.outbox.repeats import BodyRemoved
from models.outbox.send_again import SentAgain, send_again
from models.outbox.values import Attempt, Delivered, RetryLater, Unanswered
from models.sweeps.bodies import LOOKED_AT_AGAIN, remove_bodies
from tests.support.concurrent_connections import beside, waiting_sessions
from tests.support.harness import CLOSE_DELAY, LEASE, OPERATOR, TOOK

KEEP = timedelta(days=30)
ANNA = Person("anna", "their counsel asks for it")


@pytest.fixture(params=["commits", "dies"])
def first_one(request):
    """What becomes of the transaction that was first."""
    return request.param


@pytest.fixture
def overdue(harness, engine):
    """A closed ticket whose time is over; a second deliverer's call of its result never ended."""
    with engine.begin() as connection:
        change_operator(connection, OPERATOR, {"keep_bodies": KEEP}, person=ANNA)
    harness.say("ticket_win")
    frozen = harness.claim_one()
    harness.wait(LEASE)
    harness.deliver()
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    harness.deliver()
    harness.wait(KEEP + TOOK)
    return frozen


def remove(harness, connection: Connection) -> int:
    return remove_bodies(connection, now=harness.now, limit=100)


def remove_all(harness) -> int:
    with harness.engine.begin() as connection:
        return remove(harness, connection)


def ask(harness, notice: int) -> SentAgain | NotPossible:
    """Have the ticket sent again; the refusal is returned."""
    try:
        with harness.engine.begin() as connection:
            return send_again(connection, notice, now=harness.now)
    except NotPossible as refusal:
        return refusal


def test_who_asks_while_bodies_are_being_removed_is_told_so(
    harness, records, engine, overdue, first_one
):
    """H66: never an empty body, whichever of the two has the ticket first."""
    with engine.connect() as first:
        assert remove(harness, first) == 1
        with beside(lambda: ask(harness, overdue.notice)) as second:
            waiting_sessions(engine)
            first.commit() if first_one == "commits" else first.rollback()
            result = second.result()

    if first_one == "commits":
        assert isinstance(result, BodyRemoved)
        assert records.ticket().unfinished == 0
    else:
        assert isinstance(result, SentAgain)
        assert harness.claim_one().body == overdue.body


def test_what_is_being_sent_again_is_passed_by_and_goes_later_with_its_repeats(
    harness, records, engine, overdue
):
    with engine.connect() as first:
        send_again(first, overdue.notice, now=harness.now)
        assert remove_all(harness) == 0
        first.commit()
    assert remove_all(harness) == 0  # the repeats are unfinished
    assert harness.claim_one().body == overdue.body
    harness.wait(LEASE)
    harness.deliver()
    harness.deliver()

    harness.wait(LOOKED_AT_AGAIN)

    assert remove_all(harness) == 1
    assert [notice.body for notice in records.notices()] == [""] * 4


@pytest.mark.parametrize("verdict", [RetryLater(TOOK), Unanswered(TOOK), Delivered()])
def test_a_late_answer_is_recorded_without_what_the_partner_wrote(
    harness, records, overdue, verdict
):
    """H67: a deliverer that was frozen for a month; that and why it failed stays."""
    remove_all(harness)

    harness.record_attempts(
        Attempt(
            overdue,
            verdict,
            TOOK,
            http_status=503,
            answer="dear betting company",
            problem="answered 503",
            remarks={"code": 0},
            response_headers={"headers": []},
        )
    )

    late = records.attempts()[0]
    assert (late.http_status, late.problem) == (503, "answered 503")
    assert (late.answer, late.remarks, late.response_headers) == (None, None, None)
    records.check()


def test_an_answer_that_waits_for_the_removal_is_recorded_without_it(
    harness, records, engine, overdue, first_one
):
    late = Attempt(overdue, RetryLater(TOOK), TOOK, http_status=500, answer="dear company")
    with engine.connect() as first:
        remove(harness, first)
        with beside(lambda: harness.record_attempts(late)) as second:
            waiting_sessions(engine)
            first.commit() if first_one == "commits" else first.rollback()
            second.result()
    remove_all(harness)

    assert {attempt.answer for attempt in records.attempts()} == {None}


def test_two_sweeps_remove_a_ticket_s_bodies_once(harness, engine, overdue):
    with engine.connect() as first:
        assert remove(harness, first) == 1
        assert remove_all(harness) == 0
        first.rollback()

    assert remove_all(harness) == 1


@pytest.mark.parametrize("keep", [None, KEEP * 2], ids=["taken back", "longer"])
def test_a_term_that_changes_while_its_tickets_are_found_saves_them(
    harness, records, engine, overdue, keep
):
    """H68: it is read again after the lock."""
    left = [keep]

    def change(*_: object) -> None:
        if not left:
            return
        with engine.begin() as other:
            change_operator(other, OPERATOR, {"keep_bodies": left.pop()}, person=ANNA)

    with engine.connect() as first:
        event.listen(first, "after_cursor_execute", change)
        assert remove(harness, first) == 0
        first.commit()

    assert records.ticket().bodies_removed_at is None
    assert "" not in {notice.body for notice in records.notices()}
