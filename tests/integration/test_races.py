"""Two connections meet on one ticket: the second waits, and decides by what the first has done.

The first one's transaction is held open until the server says that the second one waits for it.
"""

from datetime import timedelta

import pytest
from sqlalchemy import text

from models.outbox.values import Attempt, Delivered
from tests.support.desk import CLOSE_DELAY, CREATE_AGE_MAX, LEASE, PARKING_WINDOW, SLIP, TOOK
from tests.support.threads import beside, waiting_sessions

MINUTE = timedelta(minutes=1)
LOCK_AT_ONCE = text("SELECT id FROM ticket WHERE id = :id FOR NO KEY UPDATE NOWAIT")


@pytest.fixture(params=["commits", "dies"])
def first_one(request):
    """What becomes of the transaction that was first."""
    return request.param


@pytest.fixture
def due(desk):
    """A ticket that is due to be closed."""
    desk.say("ticket_win")
    desk.deliver()
    desk.wait(CLOSE_DELAY)


def test_two_workers_apply_the_same_event_once(desk, books, engine, first_one):
    """Protocol E1, rule 20: known ids are read after the lock."""
    desk.say("ticket_open")
    event = desk.event("ticket_win", event_id="e")
    with engine.connect() as first:
        desk.apply_within(first, event)
        with beside(lambda: desk.publish(event)) as second:
            waiting_sessions(engine)
            first.commit() if first_one == "commits" else first.rollback()
            outcomes = second.result().outcomes

    other = "duplicate" if first_one == "commits" else "applied"
    assert outcomes == {("ticket_win", other): 1}
    assert books.outcomes()[1:] == [("ticket_win", "applied")]
    assert books.owed() == ["ticket_win"]


def test_two_workers_make_the_same_ticket_once(desk, books, engine, first_one):
    """Protocol E1, rule 1: the same event, and not even a row to lock."""
    event = desk.event("ticket_win", event_id="e")
    with engine.connect() as first:
        desk.apply_within(first, event)
        with beside(lambda: desk.publish(event)) as second:
            waiting_sessions(engine)
            first.commit() if first_one == "commits" else first.rollback()
            second.result()

    assert books.tickets() == ["T"]
    assert books.owed() == ["ticket_win"]


def test_a_chunk_that_loses_the_race_for_a_new_ticket_is_decided_again_within_its_transaction(
    desk, books, engine
):
    """Protocol E1: losing the race is no error, so the chunk is not split for it."""
    with engine.connect() as first, engine.connect() as second:
        desk.apply_within(first, desk.event("ticket_open", event_id="open"))
        chunk = desk.event("ticket_win", "U"), desk.event("ticket_win", event_id="win")
        with beside(lambda: desk.apply_within(second, *chunk)) as applied:
            waiting_sessions(engine)
            first.commit()
            applied.result()
        second.commit()

    assert books.outcomes() == [("ticket_open", "applied"), ("ticket_win", "applied")]
    assert books.standing("U") == "resulted/won"


def test_tickets_are_locked_in_the_order_of_their_ids(desk, books, engine):
    """Rule 19: whoever waits for a ticket holds none that comes after it."""
    for ticket_id in ("B", "A"):  # the keys' order is the other one
        desk.say("ticket_open", ticket_id)
    desk.publish(*(desk.event("ticket_open", f"T{number}") for number in range(300)))
    with engine.begin() as connection:  # as a table is that has grown: it is looked into by key
        connection.execute(text("ANALYZE ticket"))
    chunk = desk.event("ticket_win", "A"), desk.event("ticket_win", "B")
    with engine.connect() as first:
        first.execute(LOCK_AT_ONCE, {"id": books.ticket("B").id})
        with beside(lambda: desk.publish(*chunk)) as second:
            waiting_sessions(engine)
            with engine.begin() as third:
                later = {"id": books.ticket("A").id}
                assert third.execute(LOCK_AT_ONCE, later).scalar_one() == later["id"]
            first.commit()
            second.result()


def test_an_event_parked_for_an_unknown_ticket_is_seen_by_who_makes_it(desk, books, engine):
    """Protocol H17, rule 1: even what waits for a ticket has its row and its lock."""
    desk.add_operator("careful", announces_tickets=True)
    with engine.connect() as first:
        desk.apply_within(first, desk.event("ticket_win", operator="careful"))
        with beside(lambda: desk.say("ticket_open", operator="careful")) as second:
            waiting_sessions(engine)
            first.commit()
            second.result()

    assert books.standing(operator="careful") == "resulted/won"
    assert books.ticket(operator="careful").parked == 0


def test_the_other_order_parks_nothing(desk, books, engine):
    """Protocol H17: who makes the ticket is first."""
    desk.add_operator("careful", announces_tickets=True)
    with engine.connect() as first:
        desk.apply_within(first, desk.event("ticket_open", operator="careful"))
        with beside(lambda: desk.say("ticket_win", operator="careful")) as second:
            waiting_sessions(engine)
            first.commit()
            outcomes = second.result()

    assert outcomes == {("ticket_win", "applied"): 1}
    assert books.ticket(operator="careful").parked == 0


def test_a_notice_appended_while_its_head_is_finished_is_not_forgotten(desk, books, engine):
    """Protocol H37, rules 12 and 13: the intake is first."""
    desk.say("ticket_win")
    success = Attempt(desk.claim_one(), Delivered(), TOOK)
    with engine.connect() as first:
        desk.apply_within(first, desk.event("ticket_rollback"))
        with beside(lambda: desk.record_attempts(success)) as second:
            waiting_sessions(engine)
            first.commit()
            assert second.result().due

    assert [row.head for row in books.notices()] == [False, True]
    assert books.ticket().close_due_at is None  # rule 16: rolled back before it was recorded


def test_a_head_finished_while_a_notice_is_appended_lets_it_be_head(desk, books, engine):
    """Protocol H37: the deliverer is first."""
    desk.say("ticket_win")
    success = Attempt(desk.claim_one(), Delivered(), TOOK)
    with engine.connect() as first:
        desk.record_within(first, success)
        with beside(lambda: desk.publish(desk.event("ticket_rollback"))) as second:
            waiting_sessions(engine)
            first.commit()
            assert second.result().due

    assert [row.head for row in books.notices()] == [False, True]
    assert books.ticket().close_due_at is None


def test_two_deliverers_record_the_same_success_once(desk, books, engine, first_one):
    """Rule 14: one of them has lost its lease."""
    desk.publish(desk.event("ticket_win"), desk.event("ticket_rollback"))
    lost = Attempt(desk.claim_one(), Delivered(), TOOK)
    desk.wait(LEASE)
    owned = Attempt(desk.claim_one(), Delivered(), TOOK)
    with engine.connect() as first:
        desk.record_within(first, lost)
        with beside(lambda: desk.record_attempts(owned)) as second:
            waiting_sessions(engine)
            first.commit() if first_one == "commits" else first.rollback()
            second.result()

    assert books.ticket().unfinished == 1
    assert [row.head for row in books.notices()] == [False, True]
    assert len(books.attempts()) == (2 if first_one == "commits" else 1)


@pytest.mark.usefixtures("due")
def test_a_rollback_that_has_the_ticket_is_not_overtaken_by_the_close(desk, books, engine):
    """Rule 17: the sweep leaves what is locked, and finds it rolled back afterwards."""
    with engine.connect() as first:
        desk.apply_within(first, desk.event("ticket_rollback"))
        assert desk.close_due() == 0
        first.commit()

    assert desk.close_due() == 0
    assert books.standing() == "open/pending"
    assert books.owed() == ["ticket_win", "ticket_rollback"]


@pytest.mark.usefixtures("due")
def test_a_rollback_that_comes_while_the_close_has_the_ticket_is_rejected(
    desk, books, engine, first_one
):
    """Rule 17: unless the sweep dies before its COMMIT."""
    with engine.connect() as first:
        assert desk.close_within(first) == 1
        with beside(lambda: desk.say("ticket_rollback")) as second:
            waiting_sessions(engine)
            first.commit() if first_one == "commits" else first.rollback()
            second.result()

    if first_one == "commits":
        assert books.standing() == "closed/won"
        assert books.outcomes()[-1] == ("ticket_rollback", "rejected")
        assert books.owed() == ["ticket_win", "ticket_closed"]
    else:
        assert books.standing() == "open/pending"
        assert books.owed() == ["ticket_win", "ticket_rollback"]


def test_a_window_that_ends_while_the_missing_event_is_applied_rejects_nothing(
    desk, books, engine, first_one
):
    """Rule 20: parked events are read after the lock."""
    start = desk.now
    desk.wait(MINUTE)
    desk.say("ticket_rollback", at=desk.now)
    desk.wait(PARKING_WINDOW)
    with engine.connect() as first:
        desk.apply_within(first, desk.event("ticket_win", at=start))
        with beside(desk.end_windows) as second:
            waiting_sessions(engine)
            first.commit() if first_one == "commits" else first.rollback()
            ended = second.result()

    if first_one == "commits":
        assert (ended, books.standing()) == (0, "open/pending")
        assert books.event(books.events()[0].event_id).outcome == "applied"
    else:
        assert (ended, books.standing()) == (1, "absent/pending")


def test_a_create_that_is_claimed_while_the_sweep_gives_it_up_is_sent(desk, books, engine):
    """Rule 10: the claim was in time, the sweep finds its lease."""
    desk.say("ticket_create", **SLIP)
    desk.wait(CREATE_AGE_MAX - MINUTE / 60)
    with engine.connect() as first:
        (create,) = desk.claim_within(first, {1: 1})
        desk.wait(MINUTE / 60)
        with beside(desk.abandon_creates) as second:
            waiting_sessions(engine)
            first.commit()
            assert second.result() == 0
    desk.record(create)

    assert books.standing() == "open/pending"


def test_a_create_that_is_answered_while_the_sweep_gives_it_up_stays_answered(desk, books, engine):
    """Rule 10: its lease is over, but its sender is not lost and has the ticket's lock first."""
    desk.say("ticket_create", **SLIP)
    success = Attempt(desk.claim_one(), Delivered(), TOOK)
    desk.wait(LEASE)
    with engine.connect() as first:
        desk.record_within(first, success)
        with beside(desk.abandon_creates) as second:
            waiting_sessions(engine)
            first.commit()
            assert second.result() == 0

    assert books.standing() == "open/pending"
    assert books.owed() == ["ticket_create"]


def test_a_create_that_is_claimed_while_it_is_discarded_keeps_its_place(desk, books, engine):
    """Rule 10: it is on its way to the partner, so its discard waits."""
    desk.say("ticket_create", **SLIP)
    with engine.connect() as first:
        (create,) = desk.claim_within(first, {1: 1})
        with beside(lambda: desk.say("ticket_discard")) as second:
            waiting_sessions(engine)
            first.commit()
            second.result()
    assert [row.head for row in books.notices()] == [True, False]
    desk.record(create)

    assert books.standing() == "cancelled/pending"
    assert desk.deliver() == [("T", "ticket_discard")]


def test_a_create_that_is_discarded_first_is_not_claimed(desk, books, engine):
    desk.say("ticket_create", **SLIP)
    with engine.connect() as first:
        desk.apply_within(first, desk.event("ticket_discard"))
        assert desk.claim() == []
        first.commit()

    assert desk.deliver() == [("T", "ticket_discard")]
    assert books.notice(1).ended == "withdrawn"
