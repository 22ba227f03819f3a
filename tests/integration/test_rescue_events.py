"""Taking events up again, and dropping them: `slipway events parked|rejected|superseded`."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from models.lifecycle.advance import NO_WINDOW
from models.triage import NotPossible
from models.vocabulary import PARKED_MAX, Outcome
from tests.support.desk import PARKING_WINDOW, SLIP
from tests.support.ways_out import WaysOut

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
ANNOUNCE_NO_MORE = text("UPDATE operator SET announces_tickets = false")
SETTLED_AHEAD = text("UPDATE ticket SET settled_at = settled_at + interval '2 hours'")


@pytest.fixture
def ways(desk, books) -> WaysOut:
    return WaysOut(desk, books)


@pytest.fixture
def withdrawn_too_early(desk):
    """A true rollback whose publisher's clock was slow: it looks older than the win (H7)."""
    desk.say("ticket_win", event_id="win")
    desk.deliver()
    desk.wait(3 * SECOND)
    desk.say("ticket_rollback", event_id="back", at=desk.now - 5 * SECOND)
    desk.wait(HOUR)


@pytest.mark.usefixtures("withdrawn_too_early")
def test_a_true_rollback_from_a_slow_clock_counts_when_it_is_stamped_anew(desk, books, ways):
    """Protocol H7: `--as-now`."""
    (ended,) = ways.retry("back", outcome=Outcome.SUPERSEDED, as_now=True)

    assert (ended.was_outcome, ended.outcome) == ("superseded", "applied")
    assert ended.notices == ("ticket_rollback",)
    row = books.event("back")
    assert (row.outcome, row.reason, row.order_time) == ("applied", None, desk.now)
    assert (row.status_before, row.status_after, row.decided_at) == (
        "resulted/won",
        "open",
        desk.now,
    )
    assert (books.standing(), books.ticket().close_due_at) == ("open/pending", None)
    assert desk.deliver() == [("T", "ticket_rollback")]


@pytest.mark.usefixtures("withdrawn_too_early")
def test_with_its_own_time_it_is_superseded_again(books, ways):
    before = books.ticket()
    (ended,) = ways.retry("back", outcome=Outcome.SUPERSEDED)

    assert (ended.outcome, ended.reason, ended.got_through) == (
        *("superseded", "older_rollback"),
        False,
    )
    assert books.ticket() == before


@pytest.mark.usefixtures("withdrawn_too_early")
def test_as_now_counts_although_redis_clock_is_ahead_of_ours(books, ways, engine):
    with engine.begin() as connection:
        connection.execute(SETTLED_AHEAD)

    (ended,) = ways.retry("back", outcome=Outcome.SUPERSEDED, as_now=True)

    assert ended.outcome == "applied"
    assert books.event("back").order_time == books.ticket().settled_at


@pytest.mark.usefixtures("withdrawn_too_early")
def test_who_why_and_the_end_before_are_kept_with_the_ticket(books, ways):
    ways.retry("back", outcome=Outcome.SUPERSEDED, as_now=True)

    (kept,) = ways.kept()
    assert (kept.who, kept.why, kept.did) == ("anna", "their clock was slow", "event_retried")
    assert (kept.ticket, kept.operator) == (books.ticket().id, "acme")
    assert kept.facts["event_id"] == "back"
    assert kept.facts["was"] == {"outcome": "superseded", "reason": "older_rollback"}
    assert kept.facts["as_now"] is True


def test_a_rejected_event_is_decided_as_if_it_had_just_arrived(desk, books, ways):
    """With its own time it is older than the rollback that came since."""
    desk.say("ticket_win")
    desk.say("ticket_lost", event_id="lost")
    desk.wait(PARKING_WINDOW)
    desk.end_windows()
    desk.say("ticket_rollback")

    (with_its_time,) = ways.retry("lost")
    assert (with_its_time.was_reason, with_its_time.reason) == ("window_ended", "older_differs")
    (as_now,) = ways.retry("lost", outcome=Outcome.SUPERSEDED, as_now=True)
    assert (as_now.outcome, as_now.notices) == ("applied", ("ticket_lost",))
    assert books.standing() == "resulted/lost"


def test_what_waits_on_the_ticket_is_decided_along_with_it(desk, books, ways):
    """Rule 5."""
    desk.add_operator("careful", announces_tickets=True)
    desk.say("ticket_win", operator="careful", event_id="win")
    desk.wait(PARKING_WINDOW)
    desk.end_windows()
    for word in ("open", "rollback"):
        desk.say(f"ticket_{word}", operator="careful", event_id=word)
    win, back = ways.retry("win", operator="careful")

    assert [(one.event_id, one.asked, one.outcome) for one in (win, back)] == [
        ("win", True, "applied"),
        ("rollback", False, "applied"),
    ]
    assert books.owed(operator="careful") == ["ticket_win", "ticket_rollback"]


def test_what_has_to_wait_waits_for_a_whole_window_from_now(desk, books, ways):
    desk.say("ticket_open")
    desk.say("ticket_rollback", event_id="back")
    desk.wait(PARKING_WINDOW)
    desk.end_windows()
    desk.wait(HOUR)
    (ended,) = ways.retry("back")

    assert (ended.outcome, ended.park_until) == ("parked", desk.now + PARKING_WINDOW)
    assert ended.got_through
    row = books.event("back")
    assert (row.reason, row.park_until) == ("waits_for_result", desk.now + PARKING_WINDOW)
    assert books.ticket().parked == 1
    desk.wait(PARKING_WINDOW)
    assert desk.end_windows() == 1
    assert books.event("back").reason == "window_ended"


def test_on_a_new_ticket_it_waits_for_the_partner_s_answer(desk, books, ways):
    """Rule 8."""
    desk.add_operator("careful", announces_tickets=True)
    desk.say("ticket_win", operator="careful", event_id="win")
    desk.wait(PARKING_WINDOW)
    desk.end_windows()
    desk.say("ticket_create", operator="careful", **SLIP)
    (ended,) = ways.retry("win", operator="careful")

    assert (ended.outcome, ended.park_until) == ("parked", NO_WINDOW)
    desk.deliver()
    assert books.standing(operator="careful") == "resulted/won"


def test_where_enough_wait_already_it_is_turned_away_and_nobody_else_is(desk, books, ways):
    """Rule 7."""
    desk.say("ticket_open")
    desk.say("ticket_rollback", event_id="early")
    desk.wait(PARKING_WINDOW)
    desk.end_windows()
    desk.publish(*(desk.event("ticket_rollback") for _ in range(PARKED_MAX)))
    (ended,) = ways.retry("early")

    assert (ended.outcome, ended.reason) == ("rejected", "too_many_parked")
    assert books.ticket().parked == PARKED_MAX


def test_a_number_that_was_used_stays_rejected(desk, ways):
    """Rule 9."""
    desk.say("ticket_open", sequence=1)
    desk.say("ticket_rollback", event_id="two", sequence=2)
    desk.say("ticket_win", sequence=3)
    (ended,) = ways.retry("two", as_now=True)

    assert (ended.was_reason, ended.outcome, ended.reason) == (
        *("out_of_turn", "rejected", "number_used"),
    )


def test_events_of_one_ticket_are_taken_up_together_in_their_order(desk, books, ways):
    desk.say("ticket_win")
    desk.wait(SECOND)
    for word, name in (("rollback", "back"), ("lost", "lost")):
        desk.say(f"ticket_{word}", event_id=name, at=desk.now - 5 * SECOND)
    ends = ways.retry("lost", "back", outcome=Outcome.SUPERSEDED, as_now=True)

    assert [(one.event_id, one.outcome) for one in ends] == [
        ("back", "applied"),
        ("lost", "applied"),
    ]
    assert books.owed() == ["ticket_win", "ticket_rollback", "ticket_lost"]


def test_a_parked_event_that_still_does_not_fit_goes_on_waiting_as_before(desk, books, ways):
    desk.say("ticket_rollback", event_id="back")
    before = books.event("back")
    desk.wait(SECOND)
    (ended,) = ways.retry("back", outcome=Outcome.PARKED)

    assert (ended.outcome, ended.reason, ended.got_through) == ("parked", "waits_for_ticket", False)
    assert books.event("back") == before


def test_a_parked_event_is_decided_by_what_its_operator_has_agreed_to_since(
    desk, books, ways, engine
):
    desk.add_operator("careful", announces_tickets=True)
    desk.say("ticket_win", operator="careful", event_id="win")
    desk.say("ticket_rollback", operator="careful", event_id="back")
    with engine.begin() as connection:
        connection.execute(ANNOUNCE_NO_MORE)
    win, back = ways.retry("win", outcome=Outcome.PARKED, operator="careful")

    assert (win.outcome, win.reason, win.asked) == ("applied", "opened_implicitly", True)
    assert (back.outcome, back.asked) == ("applied", False)
    assert books.ticket(operator="careful").parked == 0
    assert books.owed(operator="careful") == ["ticket_win", "ticket_rollback"]


@pytest.mark.parametrize("ask", [WaysOut.retry, WaysOut.drop])
def test_what_is_not_what_the_person_saw_any_more_is_left_alone(desk, ways, ask):
    desk.say("ticket_open", event_id="open")
    with pytest.raises(NotPossible, match="event open of ticket T is applied, not rejected"):
        ask(ways, "open")
    with pytest.raises(NotPossible, match="there is no event nothing on ticket T"):
        ask(ways, "nothing")

    assert ways.kept() == []


def test_a_retried_event_that_comes_again_is_a_duplicate(desk, books, ways):
    """Rule 2 holds for it as before."""
    desk.say("ticket_rollback", event_id="back", at=desk.now)
    desk.wait(PARKING_WINDOW)
    desk.end_windows()
    ways.retry("back")

    outcomes = desk.say("ticket_rollback", event_id="back")
    assert outcomes == {("ticket_rollback", "duplicate"): 1}
    assert books.event("back").repeats == 1
