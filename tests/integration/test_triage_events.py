"""Retrying events, and dropping them: `slipway events parked|rejected|superseded`."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from models.lifecycle.advance import NO_WINDOW
from models.triage import NotPossible
from models.vocabulary import PARKED_MAX, Outcome
from tests.support.harness import PARKING_WINDOW, SLIP
from tests.support.triage_actions import TriageActions

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
ANNOUNCE_NO_MORE = text("UPDATE operator SET announces_tickets = false")
SETTLED_AHEAD = text("UPDATE ticket SET settled_at = settled_at + interval '2 hours'")


@pytest.fixture
def triage(harness, records) -> TriageActions:
    return TriageActions(harness, records)


@pytest.fixture
def withdrawn_too_early(harness):
    """A true rollback whose publisher's clock was slow: its time is before the win's (H7)."""
    harness.say("ticket_win", event_id="win")
    harness.deliver()
    harness.wait(3 * SECOND)
    harness.say("ticket_rollback", event_id="back", at=harness.now - 5 * SECOND)
    harness.wait(HOUR)


@pytest.mark.usefixtures("withdrawn_too_early")
def test_a_true_rollback_from_a_slow_clock_counts_when_it_is_stamped_again(
    harness, records, triage
):
    """H7: `--as-now`."""
    (ended,) = triage.retry("back", outcome=Outcome.SUPERSEDED, as_now=True)

    assert (ended.was_outcome, ended.outcome) == ("superseded", "applied")
    assert ended.notices == ("ticket_rollback",)
    row = records.event("back")
    assert (row.outcome, row.reason, row.order_time) == ("applied", None, harness.now)
    assert (row.status_before, row.status_after, row.decided_at) == (
        "resulted/won",
        "open",
        harness.now,
    )
    assert (records.standing(), records.ticket().close_due_at) == ("open/pending", None)
    assert harness.deliver() == [("T", "ticket_rollback")]


@pytest.mark.usefixtures("withdrawn_too_early")
def test_with_its_own_time_it_is_superseded_again(records, triage):
    before = records.ticket()
    (ended,) = triage.retry("back", outcome=Outcome.SUPERSEDED)

    assert (ended.outcome, ended.reason, ended.got_through) == (
        *("superseded", "older_rollback"),
        False,
    )
    assert records.ticket() == before


@pytest.mark.usefixtures("withdrawn_too_early")
def test_as_now_counts_although_redis_clock_is_ahead_of_ours(records, triage, engine):
    with engine.begin() as connection:
        connection.execute(SETTLED_AHEAD)

    (ended,) = triage.retry("back", outcome=Outcome.SUPERSEDED, as_now=True)

    assert ended.outcome == "applied"
    assert records.event("back").order_time == records.ticket().settled_at


@pytest.mark.usefixtures("withdrawn_too_early")
def test_who_why_and_the_end_before_are_kept_with_the_ticket(records, triage):
    triage.retry("back", outcome=Outcome.SUPERSEDED, as_now=True)

    (kept,) = triage.kept()
    assert (kept.who, kept.why, kept.did) == ("anna", "their clock was slow", "event_retried")
    assert (kept.ticket, kept.operator) == (records.ticket().id, "acme")
    assert kept.facts["event_id"] == "back"
    assert kept.facts["was"] == {"outcome": "superseded", "reason": "older_rollback"}
    assert kept.facts["as_now"] is True


def test_a_rejected_event_is_decided_as_if_it_had_just_arrived(harness, records, triage):
    """With its own time it is older than the rollback that came since."""
    harness.say("ticket_win")
    harness.say("ticket_lost", event_id="lost")
    harness.wait(PARKING_WINDOW)
    harness.end_windows()
    harness.say("ticket_rollback")

    (with_its_time,) = triage.retry("lost")
    assert (with_its_time.was_reason, with_its_time.reason) == ("window_ended", "older_differs")
    (as_now,) = triage.retry("lost", outcome=Outcome.SUPERSEDED, as_now=True)
    assert (as_now.outcome, as_now.notices) == ("applied", ("ticket_lost",))
    assert records.standing() == "resulted/lost"


def test_what_waits_on_the_ticket_is_decided_along_with_it(harness, records, triage):
    """Rule 5."""
    harness.add_operator("careful", announces_tickets=True)
    harness.say("ticket_win", operator="careful", event_id="win")
    harness.wait(PARKING_WINDOW)
    harness.end_windows()
    for word in ("open", "rollback"):
        harness.say(f"ticket_{word}", operator="careful", event_id=word)
    win, back = triage.retry("win", operator="careful")

    assert [(event.event_id, event.selected, event.outcome) for event in (win, back)] == [
        ("win", True, "applied"),
        ("rollback", False, "applied"),
    ]
    assert records.notice_actions(operator="careful") == ["ticket_win", "ticket_rollback"]


def test_what_has_to_wait_waits_for_a_whole_window_from_now(harness, records, triage):
    harness.say("ticket_open")
    harness.say("ticket_rollback", event_id="back")
    harness.wait(PARKING_WINDOW)
    harness.end_windows()
    harness.wait(HOUR)
    (ended,) = triage.retry("back")

    assert (ended.outcome, ended.park_until) == ("parked", harness.now + PARKING_WINDOW)
    assert ended.got_through
    row = records.event("back")
    assert (row.reason, row.park_until) == ("waits_for_result", harness.now + PARKING_WINDOW)
    assert records.ticket().parked == 1
    harness.wait(PARKING_WINDOW)
    assert harness.end_windows() == 1
    assert records.event("back").reason == "window_ended"


def test_on_a_new_ticket_it_waits_for_the_partner_s_answer(harness, records, triage):
    """Rule 8."""
    harness.add_operator("careful", announces_tickets=True)
    harness.say("ticket_win", operator="careful", event_id="win")
    harness.wait(PARKING_WINDOW)
    harness.end_windows()
    harness.say("ticket_create", operator="careful", **SLIP)
    (ended,) = triage.retry("win", operator="careful")

    assert (ended.outcome, ended.park_until) == ("parked", NO_WINDOW)
    harness.deliver()
    assert records.standing(operator="careful") == "resulted/won"


def test_where_enough_wait_already_it_is_turned_away_and_nobody_else_is(harness, records, triage):
    """Rule 7."""
    harness.say("ticket_open")
    harness.say("ticket_rollback", event_id="early")
    harness.wait(PARKING_WINDOW)
    harness.end_windows()
    harness.publish(*(harness.event("ticket_rollback") for _ in range(PARKED_MAX)))
    (ended,) = triage.retry("early")

    assert (ended.outcome, ended.reason) == ("rejected", "too_many_parked")
    assert records.ticket().parked == PARKED_MAX


def test_a_number_that_was_used_stays_rejected(harness, triage):
    """Rule 9."""
    harness.say("ticket_open", sequence=1)
    harness.say("ticket_rollback", event_id="two", sequence=2)
    harness.say("ticket_win", sequence=3)
    (ended,) = triage.retry("two", as_now=True)

    assert (ended.was_reason, ended.outcome, ended.reason) == (
        *("out_of_turn", "rejected", "number_used"),
    )


def test_events_of_one_ticket_are_taken_up_together_in_their_order(harness, records, triage):
    harness.say("ticket_win")
    harness.wait(SECOND)
    for word, name in (("rollback", "back"), ("lost", "lost")):
        harness.say(f"ticket_{word}", event_id=name, at=harness.now - 5 * SECOND)
    ends = triage.retry("lost", "back", outcome=Outcome.SUPERSEDED, as_now=True)

    assert [(event.event_id, event.outcome) for event in ends] == [
        ("back", "applied"),
        ("lost", "applied"),
    ]
    assert records.notice_actions() == ["ticket_win", "ticket_rollback", "ticket_lost"]


def test_a_parked_event_that_still_does_not_fit_goes_on_waiting_as_before(harness, records, triage):
    harness.say("ticket_rollback", event_id="back")
    before = records.event("back")
    harness.wait(SECOND)
    (ended,) = triage.retry("back", outcome=Outcome.PARKED)

    assert (ended.outcome, ended.reason, ended.got_through) == ("parked", "waits_for_ticket", False)
    assert records.event("back") == before


def test_a_parked_event_is_decided_by_what_its_operator_has_agreed_to_since(
    harness, records, triage, engine
):
    harness.add_operator("careful", announces_tickets=True)
    harness.say("ticket_win", operator="careful", event_id="win")
    harness.say("ticket_rollback", operator="careful", event_id="back")
    with engine.begin() as connection:
        connection.execute(ANNOUNCE_NO_MORE)
    win, back = triage.retry("win", outcome=Outcome.PARKED, operator="careful")

    assert (win.outcome, win.reason, win.selected) == ("applied", "opened_implicitly", True)
    assert (back.outcome, back.selected) == ("applied", False)
    assert records.ticket(operator="careful").parked == 0
    assert records.notice_actions(operator="careful") == ["ticket_win", "ticket_rollback"]


@pytest.mark.parametrize("ask", [TriageActions.retry, TriageActions.drop])
def test_what_is_not_what_the_person_saw_any_more_is_left_alone(harness, triage, ask):
    harness.say("ticket_open", event_id="open")
    with pytest.raises(NotPossible, match="event open of ticket T is applied, not rejected"):
        ask(triage, "open")
    with pytest.raises(NotPossible, match="there is no event nothing on ticket T"):
        ask(triage, "nothing")

    assert triage.kept() == []


def test_a_retried_event_that_comes_again_is_a_duplicate(harness, records, triage):
    """Rule 2 holds for it as before."""
    harness.say("ticket_rollback", event_id="back", at=harness.now)
    harness.wait(PARKING_WINDOW)
    harness.end_windows()
    triage.retry("back")

    outcomes = harness.say("ticket_rollback", event_id="back")
    assert outcomes == {("ticket_rollback", "duplicate"): 1}
    assert records.event("back").repeats == 1
