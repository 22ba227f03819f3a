"""How long a parked event waits, and what becomes of it then (rules 8, 9 and 17)."""

from datetime import timedelta

from sqlalchemy import text

from tests.support.desk import CLOSE_DELAY, LEASE, PARKING_WINDOW, SLIP

MOMENT = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
OPEN_UNSEEN = text("UPDATE ticket SET status = 'open' WHERE ticket_id = 'T'")


def test_the_wait_ends_with_the_window_and_not_a_microsecond_before(desk, books):
    """Rule 8: counted from the event's receipt."""
    desk.say("ticket_rollback", event_id="back")
    desk.wait(PARKING_WINDOW - MOMENT)
    early = desk.end_windows()
    desk.wait(MOMENT)

    assert (early, desk.end_windows()) == (0, 1)
    row = books.event("back")
    assert (row.outcome, row.reason, row.park_until) == ("rejected", "window_ended", None)
    assert "absent" in row.message
    assert books.ticket().parked == 0


def test_the_window_runs_from_the_receipt_although_the_intake_was_late(desk, books):
    """Rule 8: by the entry's own time, not by that of the transaction."""
    late = desk.event("ticket_rollback", event_id="back")
    received = desk.now
    desk.wait(10 * MINUTE)
    desk.publish(late)

    assert books.event("back").park_until == received + PARKING_WINDOW


def test_no_window_ends_that_reaches_past_the_oldest_unapplied_work(desk, books):
    """Rule 17, protocol H21: the result may lie unread on the stream, as here it does."""
    start = desk.now
    win = desk.event("ticket_win", at=start)
    desk.wait(MINUTE)
    desk.say("ticket_rollback", at=desk.now)
    desk.wait(20 * MINUTE)  # the intake is down, the sweep is up
    assert desk.end_windows(horizon=start) == 0

    desk.publish(win)

    assert books.outcomes() == [("ticket_rollback", "applied"), ("ticket_win", "applied")]
    assert books.standing() == "open/pending"


def test_of_one_ticket_only_the_windows_end_that_the_horizon_has_passed(desk, books):
    """Rule 17: the younger one's window is over as well, but not by the stream's horizon."""
    desk.say("ticket_rollback", event_id="older")
    desk.wait(MINUTE)
    desk.say("ticket_rollback", event_id="younger")
    horizon = desk.now - MINUTE + PARKING_WINDOW
    desk.wait(PARKING_WINDOW)

    assert desk.end_windows(horizon=horizon) == 1
    assert books.event("older").outcome == "rejected"
    assert books.event("younger").outcome == "parked"


def test_a_horizon_ahead_of_the_database_s_clock_ends_no_window_early(desk):
    desk.say("ticket_rollback")
    desk.wait(PARKING_WINDOW - MOMENT)

    assert desk.end_windows(horizon=desk.now + MINUTE) == 0


def test_at_its_end_an_event_is_decided_once_more(desk, books, engine):
    """Rule 8, protocol H20: expiry must not reject blindly."""
    desk.add_operator("careful", announces_tickets=True)
    desk.say("ticket_win", operator="careful")
    with engine.begin() as connection:
        connection.execute(OPEN_UNSEEN)  # by somebody who did not decide what waits
    desk.wait(PARKING_WINDOW)
    desk.end_windows()

    assert books.outcomes(operator="careful") == [("ticket_win", "applied")]
    assert books.owed(operator="careful") == ["ticket_win"]


def test_no_window_runs_while_the_partner_has_not_answered_our_create(desk, books):
    """Rule 8, protocol H19."""
    desk.say("ticket_create", **SLIP)
    desk.say("ticket_win")
    create = desk.claim_one()
    desk.wait(10 * PARKING_WINDOW)
    assert desk.end_windows() == 0

    desk.record(create)

    assert books.standing() == "resulted/won"


def test_the_window_starts_when_the_partner_has_answered(desk, books):
    desk.say("ticket_reserve", **SLIP)
    desk.say("ticket_win", event_id="win")
    reserve = desk.claim_one()
    desk.wait(LEASE / 2)
    desk.record(reserve)
    assert books.event("win").park_until == desk.now + PARKING_WINDOW
    desk.wait(PARKING_WINDOW)
    desk.end_windows()

    assert books.event("win").reason == "window_ended"
    assert books.standing() == "reserved/pending"


def test_a_window_that_runs_already_stops_when_the_create_arrives(desk, books):
    desk.add_operator("careful", announces_tickets=True)
    desk.say("ticket_win", operator="careful")
    desk.wait(10 * MINUTE)
    desk.say("ticket_create", operator="careful", **SLIP)
    create = desk.claim_one()
    desk.wait(10 * MINUTE)
    assert desk.end_windows() == 0

    desk.record(create)

    assert books.standing(operator="careful") == "resulted/won"


def test_each_event_of_a_ticket_has_a_window_of_its_own(desk, books):
    desk.say("ticket_win")
    desk.say("ticket_lost", event_id="first")
    desk.wait(5 * MINUTE)
    desk.say("ticket_lost", event_id="second", net_payout=1)
    until = books.event("second").park_until
    desk.wait(10 * MINUTE)

    assert desk.end_windows() == 1
    assert books.event("first").outcome == "rejected"
    assert (books.event("second").outcome, books.event("second").park_until) == ("parked", until)
    assert books.ticket().parked == 1


def test_a_contradiction_ends_with_an_event_that_names_the_other(desk, books):
    """Protocol H23: the first one stands, the other is shown."""
    desk.say("ticket_win")
    desk.say("ticket_lost", event_id="other")
    desk.wait(PARKING_WINDOW)
    desk.end_windows()

    assert books.standing() == "resulted/won"
    assert "resulted/won" in books.event("other").message


def test_a_batch_looks_at_no_more_than_its_limit_and_the_oldest_first(desk, books):
    for number in range(5):
        desk.say("ticket_rollback", f"T{number}")
        desk.wait(MOMENT)
    desk.wait(PARKING_WINDOW)

    assert desk.end_windows(limit=2) == 2
    assert [books.ticket(f"T{number}").parked for number in range(5)] == [0, 0, 1, 1, 1]
    assert [desk.end_windows(limit=2) for _ in range(3)] == [2, 1, 0]


def test_a_window_that_ends_gives_up_the_numbers_that_never_came(desk, books):
    """Rule 9: what waited behind the gap is decided in order."""
    desk.say("ticket_open")
    desk.say("ticket_lost", event_id="three", sequence=3)
    desk.wait(MINUTE)
    desk.say("ticket_rollback", event_id="four", sequence=4)
    desk.say("ticket_win", event_id="six", sequence=6)
    desk.wait(PARKING_WINDOW - MINUTE)
    desk.end_windows()

    assert [books.event(name).outcome for name in ("three", "four", "six")] == [
        "applied",
        "applied",
        "parked",
    ]
    assert (books.standing(), books.ticket().sequence) == ("open/pending", 4)
    desk.say("ticket_win", event_id="one", sequence=1)
    late = books.event("one")
    assert (late.outcome, late.reason) == ("rejected", "number_used")


def test_a_numbered_event_whose_ticket_never_comes_uses_up_its_number(desk, books):
    """Rule 9: in its turn, but with nothing to act on."""
    desk.say("ticket_rollback", event_id="one", sequence=1)
    desk.say("ticket_win", event_id="two", sequence=2)
    desk.wait(PARKING_WINDOW)
    desk.end_windows()

    assert books.event("one").reason == "window_ended"
    assert books.event("two").outcome == "applied"
    assert books.standing() == "resulted/won"


def test_what_an_ended_window_lets_through_is_told_and_closed_as_ever(desk, books):
    desk.say("ticket_open")
    desk.say("ticket_win", sequence=2)
    desk.wait(PARKING_WINDOW)
    desk.end_windows()

    assert desk.deliver() == [("T", "ticket_win")]
    assert books.ticket().close_due_at == desk.now + CLOSE_DELAY
