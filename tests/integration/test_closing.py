"""The clock: it starts with the delivery of the result, and ends in one `ticket_closed`."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from models.bet_engine.access import Caller
from models.bet_engine.tickets import list_tickets
from models.history import load_histories
from models.notices import pam
from models.outbox.values import RetryLater
from models.vocabulary import Action
from tests.support.harness import AMOUNTS, CLOSE_DELAY, LEASE, OPERATOR

MOMENT = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
LOCK = text("SELECT id FROM ticket WHERE ticket_id = :ticket_id FOR NO KEY UPDATE")
ODD = ["a\"b'c", "back\\slash", "é漢字😀", "</script>&amp;", "%s%%:now$1", "{}[],", "~" * 64]


@pytest.fixture
def delivered(harness):
    """A win that its partner has just taken."""
    harness.say("ticket_win")
    harness.deliver()


def test_the_delay_runs_from_the_delivery_although_the_partner_failed_first(harness, records):
    """Rule 16, H31: neither the event nor a failed attempt starts it."""
    harness.say("ticket_win")
    for _ in range(5):
        harness.deliver(RetryLater(HOUR))
        assert records.ticket().close_due_at is None
        harness.wait(HOUR)
    harness.deliver()

    assert records.ticket().close_due_at == harness.now + CLOSE_DELAY


def test_what_is_not_delivered_is_never_closed(harness, records):
    harness.say("ticket_win")
    harness.wait(timedelta(days=30))

    assert harness.close_due() == 0
    assert records.standing() == "resulted/won"


def test_a_ticket_changes_as_it_is_settled_and_closed_and_not_as_its_partner_receives_that(
    harness, records, engine
):
    """A receipt changes what the partner knows. It has a time of its own, and so has the close."""
    caller = Caller(operator=1, code=OPERATOR, protocol="pam", zone=ZoneInfo("UTC"))
    settled = harness.now

    def updated() -> str:
        with engine.connect() as connection:
            (shown,) = list_tickets(connection, caller, limit=1)
            (history,) = load_histories(connection, "T", operator=OPERATOR)
        assert f"{history.ticket.changed_at:%Y-%m-%dT%H:%M:%S.%f}" == shown.updated
        return shown.updated

    harness.say("ticket_win")
    harness.deliver(RetryLater(HOUR))
    harness.wait(HOUR)
    harness.deliver()  # as `record` does it, after a failure
    assert records.ticket().changed_at == settled
    harness.wait(CLOSE_DELAY)
    before = updated()
    assert harness.close_due() == 1
    closed = harness.now
    harness.wait(HOUR)
    harness.deliver()  # as the fast path does it

    assert records.ticket().unfinished == 0
    assert before == f"{settled:%Y-%m-%dT%H:%M:%S.%f}"
    assert updated() == f"{closed:%Y-%m-%dT%H:%M:%S.%f}"


@pytest.mark.usefixtures("delivered")
def test_a_ticket_is_not_closed_a_microsecond_early(harness, records):
    harness.wait(CLOSE_DELAY - MOMENT)
    early = harness.close_due()
    harness.wait(MOMENT)

    assert (early, harness.close_due()) == (0, 1)
    row = records.ticket()
    assert (row.status, row.result, row.closed_at) == ("closed", "won", harness.now)
    assert row.close_due_at is None
    assert harness.deliver() == [("T", "ticket_closed")]


@pytest.mark.usefixtures("delivered")
def test_a_ticket_is_closed_once(harness, records):
    harness.wait(2 * CLOSE_DELAY)

    assert [harness.close_due(), harness.close_due()] == [1, 0]
    assert records.notice_actions() == ["ticket_win", "ticket_closed"]


@pytest.mark.usefixtures("delivered")
def test_nothing_is_closed_that_was_due_after_the_oldest_unapplied_work(harness):
    """Rule 17, H40: a rollback may be among that work."""
    due = harness.now + CLOSE_DELAY
    harness.wait(2 * CLOSE_DELAY)

    assert harness.close_due(watermark=due - MOMENT) == 0
    assert harness.close_due(watermark=due) == 1


@pytest.mark.usefixtures("delivered")
def test_a_watermark_ahead_of_the_database_s_clock_closes_nothing_early(harness):
    """Due times go by the database's clock."""
    harness.wait(CLOSE_DELAY - MOMENT)

    assert harness.close_due(watermark=harness.now + HOUR) == 0


@pytest.mark.usefixtures("delivered")
def test_a_parked_event_blocks_the_close_until_its_window_is_over(harness, records):
    """Rule 17, H41."""
    harness.wait(CLOSE_DELAY - MOMENT)
    harness.say("ticket_lost")
    harness.wait(HOUR)
    blocked = harness.close_due()
    harness.end_windows()

    assert (blocked, harness.close_due()) == (0, 1)
    assert records.standing() == "closed/won"


@pytest.mark.usefixtures("delivered")
def test_a_rollback_stops_the_clock_and_the_next_result_starts_a_full_delay(harness, records):
    harness.wait(CLOSE_DELAY - MOMENT)
    harness.say("ticket_rollback")
    stopped = records.ticket().close_due_at
    harness.deliver()
    harness.wait(HOUR)
    closed = harness.close_due()
    harness.say("ticket_lost")
    harness.deliver()

    assert (stopped, closed) == (None, 0)
    assert records.ticket().close_due_at == harness.now + CLOSE_DELAY


@pytest.mark.usefixtures("delivered")
def test_a_correction_stops_the_clock_until_it_is_delivered(harness, records):
    """Rule 16."""
    harness.wait(HOUR)
    harness.say("ticket_void", **AMOUNTS, correction=True)
    assert records.ticket().close_due_at is None
    assert harness.deliver() == [("T", "ticket_rollback")]
    assert records.ticket().close_due_at is None
    assert harness.deliver() == [("T", "ticket_void")]

    assert records.ticket().close_due_at == harness.now + CLOSE_DELAY


@pytest.mark.parametrize("second", ["ticket_lost", "ticket_win"])
def test_the_success_of_a_result_that_was_rolled_back_starts_no_clock(harness, records, second):
    """Rule 16, H32: also where the new result is the same as the one in flight."""
    harness.say("ticket_win")
    in_flight = harness.claim_one()
    harness.publish(harness.event("ticket_rollback"), harness.event(second))
    harness.record(in_flight)
    assert records.ticket().close_due_at is None

    harness.deliver()
    assert records.ticket().close_due_at is None
    harness.wait(HOUR)
    assert harness.deliver() == [("T", second)]

    assert records.ticket().close_due_at == harness.now + CLOSE_DELAY


@pytest.mark.usefixtures("delivered")
def test_a_repeated_result_leaves_the_clock_alone(harness, records):
    due = records.ticket().close_due_at
    harness.wait(HOUR)
    assert harness.say("ticket_win") == {("ticket_win", "confirmed"): 1}

    assert records.ticket().close_due_at == due


def test_a_second_success_leaves_the_clock_alone(harness, records):
    harness.say("ticket_win")
    lost = harness.claim_one()
    harness.wait(LEASE)
    harness.record(harness.claim_one())
    due = records.ticket().close_due_at
    harness.wait(HOUR)
    harness.record(lost)

    assert records.ticket().close_due_at == due


@pytest.mark.usefixtures("delivered")
def test_a_rollback_after_closing_is_rejected_and_seen(harness, records):
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    harness.say("ticket_rollback", event_id="late")

    late = records.event("late")
    assert (late.outcome, late.reason) == ("rejected", "ticket_closed")
    assert records.notice_actions() == ["ticket_win", "ticket_closed"]


def test_a_seamless_wallet_s_ticket_closes_silently(harness, records):
    """AMBSlot has no such call (contracts 2.6)."""
    harness.add_operator("wallet", protocol="seamless")
    game = {"player_id": "p", "price": 500, "currency": "EUR", "game": "g", "game_id": "1"}
    harness.say("ticket_open", operator="wallet", **game)
    harness.say("ticket_lost", operator="wallet")
    harness.deliver()
    harness.wait(CLOSE_DELAY)

    assert harness.close_due() == 1
    assert records.standing(operator="wallet") == "closed/lost"
    assert records.notice_actions(operator="wallet") == ["ticket_lost"]


@pytest.mark.parametrize("odd", ODD)
def test_the_body_of_a_close_is_the_one_all_other_notices_would_have(harness, records, odd):
    """The statement that closes words it in SQL: byte for byte the same."""
    harness.add_operator(odd)
    harness.say("ticket_win", odd, operator=odd)
    harness.deliver()
    harness.wait(CLOSE_DELAY)
    harness.close_due()

    (win, closed) = records.notices(odd, operator=odd)
    assert closed.body == pam.body(Action.CLOSED, operator=odd, ticket_id=odd, data={})
    assert closed.body == win.body.replace("ticket_win", "ticket_closed")
    assert (closed.number, closed.generation, closed.head) == (2, 1, True)


def test_each_operator_has_a_delay_of_its_own(harness, records):
    harness.add_operator("quick", close_delay=timedelta(seconds=10))
    harness.add_operator("instant", close_delay=timedelta(0))
    for operator in ("acme", "quick", "instant"):
        harness.say("ticket_win", operator=operator)
    harness.deliver()

    assert harness.close_due() == 1
    harness.wait(timedelta(seconds=10))
    assert harness.close_due() == 1
    assert records.standing(operator="instant") == "closed/won"
    assert records.standing(operator="quick") == "closed/won"
    assert records.standing() == "resulted/won"


def test_a_batch_closes_no_more_than_its_limit_and_the_longest_due_first(harness, records):
    for number in range(5):
        harness.say("ticket_win", f"T{number}")
        harness.deliver()
        harness.wait(MOMENT)
    harness.wait(CLOSE_DELAY)

    assert harness.close_due(limit=2) == 2
    assert [records.ticket(f"T{n}").status for n in range(5)] == ["closed"] * 2 + ["resulted"] * 3
    assert [harness.close_due(limit=2) for _ in range(3)] == [2, 1, 0]


def test_a_locked_ticket_is_left_for_the_next_round(harness, records, engine):
    """Rule 17: SKIP LOCKED; no session waits."""
    for ticket in ("BUSY", "IDLE"):
        harness.say("ticket_win", ticket)
    harness.deliver()
    harness.wait(CLOSE_DELAY)
    with engine.begin() as connection:
        connection.execute(LOCK, {"ticket_id": "BUSY"})
        assert harness.close_due() == 1
        assert records.standing("IDLE") == "closed/won"

    assert harness.close_due() == 1
    assert records.standing("BUSY") == "closed/won"
