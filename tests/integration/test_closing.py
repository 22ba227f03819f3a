"""The clock: it starts with the delivery of the result, and ends in one `ticket_closed`."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from models.notices import pam
from models.outbox.values import RetryLater
from models.vocabulary import Action
from tests.support.desk import AMOUNTS, CLOSE_DELAY, LEASE

MOMENT = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
LOCK = text("SELECT id FROM ticket WHERE ticket_id = :ticket_id FOR NO KEY UPDATE")
ODD = ["a\"b'c", "back\\slash", "é漢字😀", "</script>&amp;", "%s%%:now$1", "{}[],", "~" * 64]


@pytest.fixture
def delivered(desk):
    """A win that its partner has just taken."""
    desk.say("ticket_win")
    desk.deliver()


def test_the_delay_runs_from_the_delivery_although_the_partner_failed_first(desk, books):
    """Rule 16, protocol H31: neither the event nor a failed attempt starts it."""
    desk.say("ticket_win")
    for _ in range(5):
        desk.deliver(RetryLater(HOUR))
        assert books.ticket().close_due_at is None
        desk.wait(HOUR)
    desk.deliver()

    assert books.ticket().close_due_at == desk.now + CLOSE_DELAY


def test_what_is_not_delivered_is_never_closed(desk, books):
    desk.say("ticket_win")
    desk.wait(timedelta(days=30))

    assert desk.close_due() == 0
    assert books.standing() == "resulted/won"


@pytest.mark.usefixtures("delivered")
def test_a_ticket_is_not_closed_a_microsecond_early(desk, books):
    desk.wait(CLOSE_DELAY - MOMENT)
    early = desk.close_due()
    desk.wait(MOMENT)

    assert (early, desk.close_due()) == (0, 1)
    row = books.ticket()
    assert (row.status, row.result, row.closed_at) == ("closed", "won", desk.now)
    assert row.close_due_at is None
    assert desk.deliver() == [("T", "ticket_closed")]


@pytest.mark.usefixtures("delivered")
def test_a_ticket_is_closed_once(desk, books):
    desk.wait(2 * CLOSE_DELAY)

    assert [desk.close_due(), desk.close_due()] == [1, 0]
    assert books.owed() == ["ticket_win", "ticket_closed"]


@pytest.mark.usefixtures("delivered")
def test_nothing_is_closed_that_was_due_after_the_oldest_unapplied_work(desk):
    """Rule 17, protocol H40: a rollback may be among that work."""
    due = desk.now + CLOSE_DELAY
    desk.wait(2 * CLOSE_DELAY)

    assert desk.close_due(horizon=due - MOMENT) == 0
    assert desk.close_due(horizon=due) == 1


@pytest.mark.usefixtures("delivered")
def test_a_horizon_ahead_of_the_database_s_clock_closes_nothing_early(desk):
    """design.md 5.6: for due times the database's clock decides."""
    desk.wait(CLOSE_DELAY - MOMENT)

    assert desk.close_due(horizon=desk.now + HOUR) == 0


@pytest.mark.usefixtures("delivered")
def test_a_parked_event_blocks_the_close_until_its_window_is_over(desk, books):
    """Rule 17, protocol H41."""
    desk.wait(CLOSE_DELAY - MOMENT)
    desk.say("ticket_lost")
    desk.wait(HOUR)
    blocked = desk.close_due()
    desk.end_windows()

    assert (blocked, desk.close_due()) == (0, 1)
    assert books.standing() == "closed/won"


@pytest.mark.usefixtures("delivered")
def test_a_rollback_stops_the_clock_and_the_next_result_starts_a_full_delay(desk, books):
    desk.wait(CLOSE_DELAY - MOMENT)
    desk.say("ticket_rollback")
    stopped = books.ticket().close_due_at
    desk.deliver()
    desk.wait(HOUR)
    closed = desk.close_due()
    desk.say("ticket_lost")
    desk.deliver()

    assert (stopped, closed) == (None, 0)
    assert books.ticket().close_due_at == desk.now + CLOSE_DELAY


@pytest.mark.usefixtures("delivered")
def test_a_correction_stops_the_clock_until_it_is_delivered(desk, books):
    """Rule 16."""
    desk.wait(HOUR)
    desk.say("ticket_void", **AMOUNTS, correction=True)
    assert books.ticket().close_due_at is None
    assert desk.deliver() == [("T", "ticket_rollback")]
    assert books.ticket().close_due_at is None
    assert desk.deliver() == [("T", "ticket_void")]

    assert books.ticket().close_due_at == desk.now + CLOSE_DELAY


@pytest.mark.parametrize("second", ["ticket_lost", "ticket_win"])
def test_the_success_of_a_result_that_was_rolled_back_starts_no_clock(desk, books, second):
    """Rule 16, protocol H32: also where the new result is the same as the one in flight."""
    desk.say("ticket_win")
    in_flight = desk.claim_one()
    desk.publish(desk.event("ticket_rollback"), desk.event(second))
    desk.record(in_flight)
    assert books.ticket().close_due_at is None

    desk.deliver()
    assert books.ticket().close_due_at is None
    desk.wait(HOUR)
    assert desk.deliver() == [("T", second)]

    assert books.ticket().close_due_at == desk.now + CLOSE_DELAY


@pytest.mark.usefixtures("delivered")
def test_a_repeated_result_leaves_the_clock_alone(desk, books):
    due = books.ticket().close_due_at
    desk.wait(HOUR)
    assert desk.say("ticket_win") == {("ticket_win", "confirmed"): 1}

    assert books.ticket().close_due_at == due


def test_a_second_success_leaves_the_clock_alone(desk, books):
    desk.say("ticket_win")
    lost = desk.claim_one()
    desk.wait(LEASE)
    desk.record(desk.claim_one())
    due = books.ticket().close_due_at
    desk.wait(HOUR)
    desk.record(lost)

    assert books.ticket().close_due_at == due


@pytest.mark.usefixtures("delivered")
def test_a_rollback_after_closing_is_rejected_and_seen(desk, books):
    desk.wait(CLOSE_DELAY)
    desk.close_due()
    desk.say("ticket_rollback", event_id="late")

    late = books.event("late")
    assert (late.outcome, late.reason) == ("rejected", "ticket_closed")
    assert books.owed() == ["ticket_win", "ticket_closed"]


def test_a_seamless_wallet_s_ticket_closes_silently(desk, books):
    """Contracts: AMBSlot has no such call."""
    desk.add_operator("wallet", protocol="seamless")
    game = {"player_id": "p", "price": 500, "currency": "EUR", "game": "g", "game_id": "1"}
    desk.say("ticket_open", operator="wallet", **game)
    desk.say("ticket_lost", operator="wallet")
    desk.deliver()
    desk.wait(CLOSE_DELAY)

    assert desk.close_due() == 1
    assert books.standing(operator="wallet") == "closed/lost"
    assert books.owed(operator="wallet") == ["ticket_lost"]


@pytest.mark.parametrize("odd", ODD)
def test_the_body_of_a_close_is_the_one_all_other_notices_would_have(desk, books, odd):
    """The statement that closes words it in SQL: byte for byte the same."""
    desk.add_operator(odd)
    desk.say("ticket_win", odd, operator=odd)
    desk.deliver()
    desk.wait(CLOSE_DELAY)
    desk.close_due()

    (win, closed) = books.notices(odd, operator=odd)
    assert closed.body == pam.body(Action.CLOSED, operator=odd, ticket_id=odd, data={})
    assert closed.body == win.body.replace("ticket_win", "ticket_closed")
    assert (closed.number, closed.generation, closed.head) == (2, 1, True)


def test_each_operator_has_a_delay_of_its_own(desk, books):
    desk.add_operator("quick", close_delay=timedelta(seconds=10))
    desk.add_operator("instant", close_delay=timedelta(0))
    for operator in ("acme", "quick", "instant"):
        desk.say("ticket_win", operator=operator)
    desk.deliver()

    assert desk.close_due() == 1
    desk.wait(timedelta(seconds=10))
    assert desk.close_due() == 1
    assert books.standing(operator="instant") == "closed/won"
    assert books.standing(operator="quick") == "closed/won"
    assert books.standing() == "resulted/won"


def test_a_batch_closes_no_more_than_its_limit_and_the_longest_due_first(desk, books):
    for number in range(5):
        desk.say("ticket_win", f"T{number}")
        desk.deliver()
        desk.wait(MOMENT)
    desk.wait(CLOSE_DELAY)

    assert desk.close_due(limit=2) == 2
    assert [books.ticket(f"T{n}").status for n in range(5)] == ["closed"] * 2 + ["resulted"] * 3
    assert [desk.close_due(limit=2) for _ in range(3)] == [2, 1, 0]


def test_a_ticket_that_somebody_works_on_is_left_for_the_next_round(desk, books, engine):
    """Rule 17: SKIP LOCKED; nobody waits."""
    for ticket in ("BUSY", "IDLE"):
        desk.say("ticket_win", ticket)
    desk.deliver()
    desk.wait(CLOSE_DELAY)
    with engine.begin() as connection:
        connection.execute(LOCK, {"ticket_id": "BUSY"})
        assert desk.close_due() == 1
        assert books.standing("IDLE") == "closed/won"

    assert desk.close_due() == 1
    assert books.standing("BUSY") == "closed/won"
