"""How long a parked event waits, and how it ends (rules 8, 9 and 17)."""

from datetime import timedelta

from sqlalchemy import text

from tests.support.harness import CLOSE_DELAY, LEASE, PARKING_WINDOW, SLIP

MOMENT = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
OPEN_UNSEEN = text("UPDATE ticket SET status = 'open' WHERE ticket_id = 'T'")


def test_the_wait_ends_with_the_window_and_not_a_microsecond_before(harness, records):
    """Rule 8: counted from the event's receipt."""
    harness.say("ticket_rollback", event_id="back")
    harness.wait(PARKING_WINDOW - MOMENT)
    early = harness.end_windows()
    harness.wait(MOMENT)

    assert (early, harness.end_windows()) == (0, 1)
    row = records.event("back")
    assert (row.outcome, row.reason, row.park_until) == ("rejected", "window_ended", None)
    assert "absent" in row.message
    assert records.ticket().parked == 0


def test_the_window_runs_from_the_receipt_although_the_intake_was_late(harness, records):
    """Rule 8: by the entry's own time, not by that of the transaction."""
    late = harness.event("ticket_rollback", event_id="back")
    received = harness.now
    harness.wait(10 * MINUTE)
    harness.publish(late)

    assert records.event("back").park_until == received + PARKING_WINDOW


def test_no_window_ends_that_reaches_past_the_oldest_unapplied_work(harness, records):
    """Rule 17, H21: the result may lie unread on the stream, as here it does."""
    start = harness.now
    win = harness.event("ticket_win", at=start)
    harness.wait(MINUTE)
    harness.say("ticket_rollback", at=harness.now)
    harness.wait(20 * MINUTE)  # the intake is down, the sweep is up
    assert harness.end_windows(watermark=start) == 0

    harness.publish(win)

    assert records.outcomes() == [("ticket_rollback", "applied"), ("ticket_win", "applied")]
    assert records.standing() == "open/pending"


def test_of_one_ticket_only_the_windows_end_that_the_watermark_has_passed(harness, records):
    """Rule 17: the younger one's window is over as well, but not by the stream's watermark."""
    harness.say("ticket_rollback", event_id="older")
    harness.wait(MINUTE)
    harness.say("ticket_rollback", event_id="younger")
    watermark = harness.now - MINUTE + PARKING_WINDOW
    harness.wait(PARKING_WINDOW)

    assert harness.end_windows(watermark=watermark) == 1
    assert records.event("older").outcome == "rejected"
    assert records.event("younger").outcome == "parked"


def test_a_watermark_ahead_of_the_database_s_clock_ends_no_window_early(harness):
    harness.say("ticket_rollback")
    harness.wait(PARKING_WINDOW - MOMENT)

    assert harness.end_windows(watermark=harness.now + MINUTE) == 0


def test_at_its_end_an_event_is_decided_once_more(harness, records, engine):
    """Rule 8, H20: expiry must not reject blindly."""
    harness.add_operator("careful", announces_tickets=True)
    harness.say("ticket_win", operator="careful")
    with engine.begin() as connection:
        connection.execute(OPEN_UNSEEN)  # by a session that did not decide what waits
    harness.wait(PARKING_WINDOW)
    harness.end_windows()

    assert records.outcomes(operator="careful") == [("ticket_win", "applied")]
    assert records.notice_actions(operator="careful") == ["ticket_win"]


def test_no_window_runs_while_the_partner_has_not_answered_our_create(harness, records):
    """Rule 8, H19."""
    harness.say("ticket_create", **SLIP)
    harness.say("ticket_win")
    create = harness.claim_one()
    harness.wait(10 * PARKING_WINDOW)
    assert harness.end_windows() == 0

    harness.record(create)

    assert records.standing() == "resulted/won"


def test_the_window_starts_when_the_partner_has_answered(harness, records):
    harness.say("ticket_reserve", **SLIP)
    harness.say("ticket_win", event_id="win")
    reserve = harness.claim_one()
    harness.wait(LEASE / 2)
    harness.record(reserve)
    assert records.event("win").park_until == harness.now + PARKING_WINDOW
    harness.wait(PARKING_WINDOW)
    harness.end_windows()

    assert records.event("win").reason == "window_ended"
    assert records.standing() == "reserved/pending"


def test_a_window_that_runs_already_stops_when_the_create_arrives(harness, records):
    harness.add_operator("careful", announces_tickets=True)
    harness.say("ticket_win", operator="careful")
    harness.wait(10 * MINUTE)
    harness.say("ticket_create", operator="careful", **SLIP)
    create = harness.claim_one()
    harness.wait(10 * MINUTE)
    assert harness.end_windows() == 0

    harness.record(create)

    assert records.standing(operator="careful") == "resulted/won"


def test_each_event_of_a_ticket_has_a_window_of_its_own(harness, records):
    harness.say("ticket_win")
    harness.say("ticket_lost", event_id="first")
    harness.wait(5 * MINUTE)
    harness.say("ticket_lost", event_id="second", net_payout=1)
    until = records.event("second").park_until
    harness.wait(10 * MINUTE)

    assert harness.end_windows() == 1
    assert records.event("first").outcome == "rejected"
    assert (records.event("second").outcome, records.event("second").park_until) == (
        "parked",
        until,
    )
    assert records.ticket().parked == 1


def test_a_contradiction_ends_with_an_event_that_names_the_other(harness, records):
    """H23: the first one stays in force, the other is shown."""
    harness.say("ticket_win")
    harness.say("ticket_lost", event_id="other")
    harness.wait(PARKING_WINDOW)
    harness.end_windows()

    assert records.standing() == "resulted/won"
    assert "resulted/won" in records.event("other").message


def test_a_batch_looks_at_no_more_than_its_limit_and_the_oldest_first(harness, records):
    for number in range(5):
        harness.say("ticket_rollback", f"T{number}")
        harness.wait(MOMENT)
    harness.wait(PARKING_WINDOW)

    assert harness.end_windows(limit=2) == 2
    assert [records.ticket(f"T{number}").parked for number in range(5)] == [0, 0, 1, 1, 1]
    assert [harness.end_windows(limit=2) for _ in range(3)] == [2, 1, 0]


def test_a_window_that_ends_gives_up_the_numbers_that_never_came(harness, records):
    """Rule 9: what waited behind the gap is decided in order."""
    harness.say("ticket_open")
    harness.say("ticket_lost", event_id="three", sequence=3)
    harness.wait(MINUTE)
    harness.say("ticket_rollback", event_id="four", sequence=4)
    harness.say("ticket_win", event_id="six", sequence=6)
    harness.wait(PARKING_WINDOW - MINUTE)
    harness.end_windows()

    assert [records.event(name).outcome for name in ("three", "four", "six")] == [
        "applied",
        "applied",
        "parked",
    ]
    assert (records.standing(), records.ticket().sequence) == ("open/pending", 4)
    harness.say("ticket_win", event_id="one", sequence=1)
    late = records.event("one")
    assert (late.outcome, late.reason) == ("rejected", "number_used")


def test_a_numbered_event_whose_ticket_never_comes_uses_up_its_number(harness, records):
    """Rule 9: in its turn, but with nothing to act on."""
    harness.say("ticket_rollback", event_id="one", sequence=1)
    harness.say("ticket_win", event_id="two", sequence=2)
    harness.wait(PARKING_WINDOW)
    harness.end_windows()

    assert records.event("one").reason == "window_ended"
    assert records.event("two").outcome == "applied"
    assert records.standing() == "resulted/won"


def test_what_an_ended_window_lets_through_is_delivered_and_closed_as_usual(harness, records):
    harness.say("ticket_open")
    harness.say("ticket_win", sequence=2)
    harness.wait(PARKING_WINDOW)
    harness.end_windows()

    assert harness.deliver() == [("T", "ticket_win")]
    assert records.ticket().close_due_at == harness.now + CLOSE_DELAY
