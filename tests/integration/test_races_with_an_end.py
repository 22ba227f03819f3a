"""The end of a partnership meets what is under way (rule 24): two connections on one ticket.

The first one's transaction is held open; then it commits, or its process dies.
"""

import pytest
from sqlalchemy import Connection

from models.outbox.values import Attempt, Delivered
from models.partnerships.end import mark_ended
from models.partnerships.tickets import end_tickets
from tests.support.concurrent_connections import beside, waiting_sessions
from tests.support.harness import CLOSE_DELAY, PERSON, TOOK, Harness


@pytest.fixture(params=["commits", "dies"])
def first_one(request):
    """What becomes of the transaction that was first."""
    return request.param


def finish(connection: Connection, how: str) -> None:
    connection.commit() if how == "commits" else connection.rollback()


def mark_within(harness: Harness, connection: Connection) -> int:
    connection.begin()  # a session that finds no transaction would end its own
    return mark_ended(connection, "acme", person=PERSON, now=harness.now).operator


def end_within(harness: Harness, connection: Connection, operator: int) -> int:
    return end_tickets(connection, operator, now=harness.now, limit=10).tickets


def end_all(harness: Harness) -> None:
    while harness.end_tickets():
        pass


def test_a_batch_that_read_the_operator_before_leaves_no_ticket_behind(
    harness, records, engine, first_one
):
    """H50. Neither waits for the other."""
    with engine.connect() as first:
        harness.apply_within(first, harness.event("ticket_win"))
        harness.end_partnership()
        assert harness.end_tickets() == 0
        finish(first, first_one)
    end_all(harness)

    assert harness.claim() == []
    if first_one == "commits":
        assert records.standing() == "closed/won"
        assert records.notice(1).reason == "partner_ended"
    else:
        assert records.tickets() == []


def test_a_ticket_that_a_batch_of_events_has_is_ended_after_it(harness, records, engine, first_one):
    harness.say("ticket_win")
    with engine.connect() as first:
        harness.apply_within(first, harness.event("ticket_rollback"))
        harness.end_partnership()
        assert harness.end_tickets() == 0, "it waits for no ticket"
        finish(first, first_one)
    end_all(harness)

    assert records.standing() == {"commits": "cancelled/pending", "dies": "closed/won"}[first_one]
    assert {notice.ended for notice in records.notices()} == {"skipped"}


def test_events_that_wait_for_a_ticket_are_decided_by_its_end(harness, records, engine, first_one):
    """They read the operator before the end: its tickets alone must be enough to stop them."""
    harness.say("ticket_win")
    with engine.connect() as first:
        end_within(harness, first, mark_within(harness, first))
        with beside(lambda: harness.say("ticket_rollback")) as second:
            waiting_sessions(engine)
            finish(first, first_one)
            outcome = "rejected" if first_one == "commits" else "applied"
            assert second.result() == {("ticket_rollback", outcome): 1}

    sent = {"commits": ["ticket_win"], "dies": ["ticket_win", "ticket_rollback"]}
    assert records.notice_actions() == sent[first_one]


def test_a_claim_takes_nothing_that_is_being_skipped(harness, records, engine, first_one):
    harness.say("ticket_win")
    with engine.connect() as first:
        end_within(harness, first, mark_within(harness, first))
        assert harness.claim() == []
        finish(first, first_one)

    assert len(harness.claim()) == (0 if first_one == "commits" else 1)
    assert records.notice(1).ended == ("skipped" if first_one == "commits" else None)


def test_a_claim_under_way_is_a_call_under_way(harness, records, engine, first_one):
    """Its lease is committed after the mark, which it could not see."""
    harness.say("ticket_win")
    operator = records.ticket().operator
    with engine.connect() as first:
        (claim,) = harness.claim_within(first, {operator: 1})
        harness.end_partnership()
        assert harness.claim() == []
        finish(first, first_one)
    end_all(harness)
    harness.record(claim)

    notice = records.notice(1)
    assert (notice.ended, notice.perhaps_delivered) == ("skipped", first_one == "commits")
    assert [attempt.verdict for attempt in records.attempts()] == ["delivered"]
    assert records.standing() == "closed/won"


def test_a_success_that_is_being_recorded_counts_if_it_is_committed(
    harness, records, engine, first_one
):
    harness.say("ticket_win")
    claim = harness.claim_one()
    harness.end_partnership()
    with engine.connect() as first:
        harness.record_within(first, Attempt(claim, Delivered(), TOOK, http_status=200))
        assert harness.end_tickets() == 0
        finish(first, first_one)
    end_all(harness)

    ended = "delivered" if first_one == "commits" else "skipped"
    assert (records.notice(1).ended, records.standing()) == (ended, "closed/won")
    assert records.ticket().close_due_at is None


def test_a_success_that_waits_for_the_end_of_its_ticket_is_too_late(
    harness, records, engine, first_one
):
    """H49."""
    harness.say("ticket_win")
    claim = harness.claim_one()
    operator = harness.end_partnership().operator
    with engine.connect() as first:
        end_within(harness, first, operator)
        with beside(lambda: harness.record(claim)) as second:
            waiting_sessions(engine)
            finish(first, first_one)
            second.result()

    ended = "skipped" if first_one == "commits" else "delivered"
    assert records.notice(1).ended == ended
    assert (records.ticket().close_due_at is None) is (first_one == "commits")
    assert len(records.attempts()) == 1


def test_a_closing_under_way_leaves_no_notice_to_send(harness, records, engine, first_one):
    """The sweep closed with a notice, as it could not see the end."""
    harness.say("ticket_win")
    harness.deliver()
    harness.wait(CLOSE_DELAY)
    with engine.connect() as first:
        assert harness.close_within(first) == 1
        harness.end_partnership()
        assert harness.end_tickets() == 0
        finish(first, first_one)
    end_all(harness)

    assert records.standing() == "closed/won"
    ends = [(notice.action, notice.ended) for notice in records.notices()]
    closing = [("ticket_closed", "skipped")] if first_one == "commits" else []
    assert ends == [("ticket_win", "delivered"), *closing]


def test_the_sweep_skips_a_ticket_that_is_being_ended(harness, records, engine, first_one):
    harness.say("ticket_win")
    harness.deliver()
    harness.wait(CLOSE_DELAY)
    operator = harness.end_partnership().operator
    with engine.connect() as first:
        end_within(harness, first, operator)
        assert harness.close_due() == 0
        finish(first, first_one)
    harness.close_due()

    assert (records.standing(), records.notice_actions()) == ("closed/won", ["ticket_win"])


def test_two_rounds_end_each_ticket_once(harness, records, engine, first_one):
    for number in range(3):
        harness.say("ticket_win", f"T{number}")
    operator = harness.end_partnership().operator
    with engine.connect() as first:
        assert end_within(harness, first, operator) == 3
        assert harness.end_tickets() == 0
        finish(first, first_one)

    assert harness.end_tickets() == (0 if first_one == "commits" else 3)


def test_two_people_end_it_once(harness, engine, first_one):
    with engine.connect() as first:
        mark_within(harness, first)
        with beside(harness.end_partnership) as second:
            waiting_sessions(engine)
            finish(first, first_one)
            error = second.exception()

    assert (error is not None) is (first_one == "commits")
