"""Two connections meet on one ticket: the second waits, and decides by what the first has done.

The first one's transaction is held open until the server says that the second one waits for it.
"""

from datetime import timedelta

import pytest
from sqlalchemy import text

from models.outbox.values import Attempt, Delivered
from tests.support.concurrent_connections import beside, waiting_sessions
from tests.support.harness import CLOSE_DELAY, CREATE_AGE_MAX, LEASE, PARKING_WINDOW, SLIP, TOOK

MINUTE = timedelta(minutes=1)
LOCK_AT_ONCE = text("SELECT id FROM ticket WHERE id = :id FOR NO KEY UPDATE NOWAIT")


@pytest.fixture(params=["commits", "dies"])
def first_one(request):
    """What becomes of the transaction that was first."""
    return request.param


@pytest.fixture
def due(harness):
    """A ticket that is due to be closed."""
    harness.say("ticket_win")
    harness.deliver()
    harness.wait(CLOSE_DELAY)


def test_two_workers_apply_the_same_event_once(harness, records, engine, first_one):
    """E1, rule 20: known ids are read after the lock."""
    harness.say("ticket_open")
    event = harness.event("ticket_win", event_id="e")
    with engine.connect() as first:
        harness.apply_within(first, event)
        with beside(lambda: harness.publish(event)) as second:
            waiting_sessions(engine)
            first.commit() if first_one == "commits" else first.rollback()
            outcomes = second.result().outcomes

    other = "duplicate" if first_one == "commits" else "applied"
    assert outcomes == {("ticket_win", other): 1}
    assert records.outcomes()[1:] == [("ticket_win", "applied")]
    assert records.notice_actions() == ["ticket_win"]


def test_two_workers_make_the_same_ticket_once(harness, records, engine, first_one):
    """E1, rule 1: the same event, and not even a row to lock."""
    event = harness.event("ticket_win", event_id="e")
    with engine.connect() as first:
        harness.apply_within(first, event)
        with beside(lambda: harness.publish(event)) as second:
            waiting_sessions(engine)
            first.commit() if first_one == "commits" else first.rollback()
            second.result()

    assert records.tickets() == ["T"]
    assert records.notice_actions() == ["ticket_win"]


def test_a_batch_that_loses_the_race_for_a_new_ticket_is_decided_again_within_its_transaction(
    harness, records, engine
):
    """E1: losing the race is no error, so the batch is not split for it."""
    with engine.connect() as first, engine.connect() as second:
        harness.apply_within(first, harness.event("ticket_open", event_id="open"))
        batch = harness.event("ticket_win", "U"), harness.event("ticket_win", event_id="win")
        with beside(lambda: harness.apply_within(second, *batch)) as applied:
            waiting_sessions(engine)
            first.commit()
            applied.result()
        second.commit()

    assert records.outcomes() == [("ticket_open", "applied"), ("ticket_win", "applied")]
    assert records.standing("U") == "resulted/won"


def test_tickets_are_locked_in_the_order_of_their_ids(harness, records, engine):
    """Rule 19: a transaction that waits for a ticket holds none that comes after it."""
    for ticket_id in ("B", "A"):  # the keys' order is the other one
        harness.say("ticket_open", ticket_id)
    harness.publish(*(harness.event("ticket_open", f"T{number}") for number in range(300)))
    with engine.begin() as connection:  # as in a table that has grown: look-ups go by key
        connection.execute(text("ANALYZE ticket"))
    batch = harness.event("ticket_win", "A"), harness.event("ticket_win", "B")
    with engine.connect() as first:
        first.execute(LOCK_AT_ONCE, {"id": records.ticket("B").id})
        with beside(lambda: harness.publish(*batch)) as second:
            waiting_sessions(engine)
            with engine.begin() as third:
                later = {"id": records.ticket("A").id}
                assert third.execute(LOCK_AT_ONCE, later).scalar_one() == later["id"]
            first.commit()
            second.result()


def test_an_event_parked_for_an_unknown_ticket_is_seen_by_who_makes_it(harness, records, engine):
    """H17, rule 1: even what waits for a ticket has its row and its lock."""
    harness.add_operator("careful", announces_tickets=True)
    with engine.connect() as first:
        harness.apply_within(first, harness.event("ticket_win", operator="careful"))
        with beside(lambda: harness.say("ticket_open", operator="careful")) as second:
            waiting_sessions(engine)
            first.commit()
            second.result()

    assert records.standing(operator="careful") == "resulted/won"
    assert records.ticket(operator="careful").parked == 0


def test_the_other_order_parks_nothing(harness, records, engine):
    """H17: who makes the ticket is first."""
    harness.add_operator("careful", announces_tickets=True)
    with engine.connect() as first:
        harness.apply_within(first, harness.event("ticket_open", operator="careful"))
        with beside(lambda: harness.say("ticket_win", operator="careful")) as second:
            waiting_sessions(engine)
            first.commit()
            outcomes = second.result()

    assert outcomes == {("ticket_win", "applied"): 1}
    assert records.ticket(operator="careful").parked == 0


def test_a_notice_appended_while_its_head_is_finished_is_not_forgotten(harness, records, engine):
    """H37, rules 12 and 13: the intake is first."""
    harness.say("ticket_win")
    success = Attempt(harness.claim_one(), Delivered(), TOOK)
    with engine.connect() as first:
        harness.apply_within(first, harness.event("ticket_rollback"))
        with beside(lambda: harness.record_attempts(success)) as second:
            waiting_sessions(engine)
            first.commit()
            assert second.result().due

    assert [row.head for row in records.notices()] == [False, True]
    assert records.ticket().close_due_at is None  # rule 16: rolled back before it was recorded


def test_a_head_finished_while_a_notice_is_appended_lets_it_be_head(harness, records, engine):
    """H37: the deliverer is first."""
    harness.say("ticket_win")
    success = Attempt(harness.claim_one(), Delivered(), TOOK)
    with engine.connect() as first:
        harness.record_within(first, success)
        with beside(lambda: harness.publish(harness.event("ticket_rollback"))) as second:
            waiting_sessions(engine)
            first.commit()
            assert second.result().due

    assert [row.head for row in records.notices()] == [False, True]
    assert records.ticket().close_due_at is None


def test_two_deliverers_record_the_same_success_once(harness, records, engine, first_one):
    """Rule 14: one of them has lost its lease."""
    harness.publish(harness.event("ticket_win"), harness.event("ticket_rollback"))
    lost = Attempt(harness.claim_one(), Delivered(), TOOK)
    harness.wait(LEASE)
    owned = Attempt(harness.claim_one(), Delivered(), TOOK)
    with engine.connect() as first:
        harness.record_within(first, lost)
        with beside(lambda: harness.record_attempts(owned)) as second:
            waiting_sessions(engine)
            first.commit() if first_one == "commits" else first.rollback()
            second.result()

    assert records.ticket().unfinished == 1
    assert [row.head for row in records.notices()] == [False, True]
    assert len(records.attempts()) == (2 if first_one == "commits" else 1)


@pytest.mark.usefixtures("due")
def test_a_rollback_that_has_the_ticket_is_not_overtaken_by_the_close(harness, records, engine):
    """Rule 17: the sweep leaves what is locked, and finds it rolled back afterwards."""
    with engine.connect() as first:
        harness.apply_within(first, harness.event("ticket_rollback"))
        assert harness.close_due() == 0
        first.commit()

    assert harness.close_due() == 0
    assert records.standing() == "open/pending"
    assert records.notice_actions() == ["ticket_win", "ticket_rollback"]


@pytest.mark.usefixtures("due")
def test_a_rollback_that_comes_while_the_close_has_the_ticket_is_rejected(
    harness, records, engine, first_one
):
    """Rule 17: unless the sweep dies before its COMMIT."""
    with engine.connect() as first:
        assert harness.close_within(first) == 1
        with beside(lambda: harness.say("ticket_rollback")) as second:
            waiting_sessions(engine)
            first.commit() if first_one == "commits" else first.rollback()
            second.result()

    if first_one == "commits":
        assert records.standing() == "closed/won"
        assert records.outcomes()[-1] == ("ticket_rollback", "rejected")
        assert records.notice_actions() == ["ticket_win", "ticket_closed"]
    else:
        assert records.standing() == "open/pending"
        assert records.notice_actions() == ["ticket_win", "ticket_rollback"]


def test_a_window_that_ends_while_the_missing_event_is_applied_rejects_nothing(
    harness, records, engine, first_one
):
    """Rule 20: parked events are read after the lock."""
    start = harness.now
    harness.wait(MINUTE)
    harness.say("ticket_rollback", at=harness.now)
    harness.wait(PARKING_WINDOW)
    with engine.connect() as first:
        harness.apply_within(first, harness.event("ticket_win", at=start))
        with beside(harness.end_windows) as second:
            waiting_sessions(engine)
            first.commit() if first_one == "commits" else first.rollback()
            ended = second.result()

    if first_one == "commits":
        assert (ended, records.standing()) == (0, "open/pending")
        assert records.event(records.events()[0].event_id).outcome == "applied"
    else:
        assert (ended, records.standing()) == (1, "absent/pending")


def test_a_create_that_is_claimed_while_the_sweep_gives_it_up_is_sent(harness, records, engine):
    """Rule 10: the claim was in time, the sweep finds its lease."""
    harness.say("ticket_create", **SLIP)
    harness.wait(CREATE_AGE_MAX - MINUTE / 60)
    with engine.connect() as first:
        (create,) = harness.claim_within(first, {1: 1})
        harness.wait(MINUTE / 60)
        with beside(harness.abandon_creates) as second:
            waiting_sessions(engine)
            first.commit()
            assert second.result() == 0
    harness.record(create)

    assert records.standing() == "open/pending"


def test_a_create_that_is_answered_while_the_sweep_gives_it_up_stays_answered(
    harness, records, engine
):
    """Rule 10: its lease is over, but its sender is not lost and has the ticket's lock first."""
    harness.say("ticket_create", **SLIP)
    success = Attempt(harness.claim_one(), Delivered(), TOOK)
    harness.wait(LEASE)
    with engine.connect() as first:
        harness.record_within(first, success)
        with beside(harness.abandon_creates) as second:
            waiting_sessions(engine)
            first.commit()
            assert second.result() == 0

    assert records.standing() == "open/pending"
    assert records.notice_actions() == ["ticket_create"]


def test_a_create_that_is_claimed_while_it_is_discarded_keeps_its_place(harness, records, engine):
    """Rule 10: it is on its way to the partner, so its discard waits."""
    harness.say("ticket_create", **SLIP)
    with engine.connect() as first:
        (create,) = harness.claim_within(first, {1: 1})
        with beside(lambda: harness.say("ticket_discard")) as second:
            waiting_sessions(engine)
            first.commit()
            second.result()
    assert [row.head for row in records.notices()] == [True, False]
    harness.record(create)

    assert records.standing() == "cancelled/pending"
    assert harness.deliver() == [("T", "ticket_discard")]


def test_a_create_that_is_discarded_first_is_not_claimed(harness, records, engine):
    harness.say("ticket_create", **SLIP)
    with engine.connect() as first:
        harness.apply_within(first, harness.event("ticket_discard"))
        assert harness.claim() == []
        first.commit()

    assert harness.deliver() == [("T", "ticket_discard")]
    assert records.notice(1).ended == "withdrawn"
