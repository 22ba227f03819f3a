"""Waiting and giving up: rules 7 and 8, and counterexamples H17 to H23."""

import pytest

from models.lifecycle.advance import NO_WINDOW, PendingEvent
from models.vocabulary import Action
from tests.support.tickets import ANNOUNCING, WINDOW, Life, at, event, standing, ticket

QUARTER = round(WINDOW.total_seconds())  # the parking window, in seconds


def announced() -> Life:
    return Life(ticket("absent", ANNOUNCING))


def until(life: Life) -> dict[str, object]:
    return {pending.event.event_id: pending.park_until for pending in life.parked}


def test_an_event_for_an_unknown_ticket_waits_on_its_row():
    """H17, rule 1: an absent ticket has a row, so what waits on it is found when it opens."""
    life = announced().arrive("win@2")
    assert life.outcome("win@2") == ("parked", "waits_for_ticket")
    assert (life.ticket.status, life.ticket.parked) == ("absent", 1)

    life.arrive("open@1")

    assert standing(life.ticket) == "won@2"
    assert life.ticket.parked == 0


def test_the_window_runs_from_the_receipt():
    """Rule 8: not from when it happened, nor from when it was decided."""
    life = Life(ticket("open"))

    life.arrive(event("rollback@1", received=100), now=200)

    assert until(life) == {"rollback@1": at(100) + WINDOW}


def test_an_event_ends_when_its_window_does_and_no_earlier():
    """Rule 8."""
    life = Life(ticket("open")).arrive("rollback@1")

    life.end_windows(now=QUARTER)
    assert life.outcome("rollback@1") == ("parked", "waits_for_result")

    life.end_windows(now=QUARTER + 1)
    assert life.outcome("rollback@1") == ("rejected", "window_ended")
    assert life.ticket.parked == 0


def test_at_the_end_of_its_window_an_event_is_decided_once_more():
    """H20, rule 8: expiry does not reject blindly."""
    life = Life(ticket("open"), parked=[PendingEvent(event("win@1"), 1, park_until=at(QUARTER))])
    life.ticket.parked = 1

    life.end_windows(now=QUARTER)

    assert life.outcome("win@1") == ("applied", None)
    assert standing(life.ticket) == "won@1"


def test_a_window_that_ends_says_what_was_waited_for_and_what_stands():
    """H23: both orders of a contradiction leave a rejected event that names the other."""
    for order, current, loser in (
        (("win@1", "lost@2"), "resulted/won of 2026-11-20T12:00:01Z", "lost@2"),
        (("lost@2", "win'@3"), "resulted/lost of 2026-11-20T12:00:02Z", "win'@3"),
    ):
        life = Life().arrive_one_by_one(*order).end_windows(now=QUARTER + 9)

        assert life.outcome(loser) == ("rejected", "window_ended")
        message = life.ended[loser].message
        assert message is not None
        assert message.startswith("waited for as long as the parking window lasts; the ticket ")
        assert f"(current result: {current})" in message


@pytest.mark.parametrize(
    ("order", "ends", "other"),
    [
        (("win@1", "lost@2"), "won@1", ("rejected", "window_ended")),
        (("lost@2", "win@1"), "lost@2", ("superseded", "older_differs")),
    ],
)
def test_of_two_contradicting_results_the_first_applied_stands(order, ends, other):
    """H23: a machine does not invent a rollback; the other is shown."""
    life = Life().arrive_one_by_one(*order).end_windows(now=QUARTER + 9)

    assert standing(life.ticket) == ends
    assert life.outcome(order[1]) == other


def test_no_window_runs_while_the_partner_has_yet_to_answer_our_create():
    """H19, rule 8: `create | win parked | 15 min | create 200` must not lose the win."""
    life = Life().arrive("create@0").arrive("win@1")
    assert until(life) == {"win@1": NO_WINDOW}

    life.end_windows(now=10 * QUARTER)
    assert life.outcome("win@1") == ("parked", "waits_for_ticket")

    life.take(Action.CREATE, now=10 * QUARTER)
    assert standing(life.ticket) == "won@1"


def test_a_window_that_was_stored_before_the_create_does_not_end_it_either():
    life = Life(ticket("new"), parked=[PendingEvent(event("win@1"), 1, park_until=at(QUARTER))])

    life.end_windows(now=10 * QUARTER)

    assert until(life) == {"win@1": NO_WINDOW}


def test_what_waited_for_an_absent_ticket_waits_on_without_a_window_when_it_is_created():
    life = announced().arrive("win@1")
    assert until(life) == {"win@1": at(1) + WINDOW}

    life.arrive("create@0")

    assert until(life) == {"win@1": NO_WINDOW}


def test_a_whole_window_begins_when_the_partner_has_answered():
    """Rule 8, for what a reserved ticket cannot take yet either."""
    life = Life().arrive("reserve@0").arrive("win@1")

    life.take(Action.RESERVE, now=1000)

    assert until(life) == {"win@1": at(1000) + WINDOW}
    life.end_windows(now=1000 + QUARTER)
    assert life.outcome("win@1") == ("rejected", "window_ended")


def test_no_window_ends_before_the_watermark_has_passed_it():
    """H21, rule 17: `rollback` parked, intake down; its `win` lies unread on the stream."""
    life = Life(ticket("open")).arrive("rollback@5")

    life.end_windows(now=10 * QUARTER, watermark=4)
    assert life.outcome("rollback@5")[0] == "parked"

    life.arrive("win@4")
    assert standing(life.ticket) == "open@5"
    assert life.sent == ["win", "rollback"]


def test_windows_end_in_the_order_of_their_times():
    life = Life(ticket("won@1")).arrive("lost@3").arrive("refund@2")

    life.end_windows(now=2 + QUARTER)

    assert life.outcome("refund@2") == ("rejected", "window_ended")
    assert life.outcome("lost@3")[0] == "parked"


def test_everything_that_waits_ends_with_its_window():
    """Nothing is parked indefinitely, or its ticket would never close (rule 17)."""
    life = announced().arrive_one_by_one("win@1", "rollback#5@2", "paid@3", "update#9@4")
    assert life.ticket.parked == 4

    life.end_windows(now=4 + QUARTER)

    assert life.parked == []
    assert {life.outcome(event_id)[1] for event_id in life.ended} == {"window_ended"}


# --- at most 32 (rule 7, H22) -------------------------------------------------------------------


def crowded() -> Life:
    return Life(ticket("won@1")).arrive_one_by_one(*(f"lost@{second}" for second in range(2, 34)))


def test_thirty_two_events_wait_and_the_next_is_turned_away():
    life = crowded()
    assert life.ticket.parked == 32

    life.arrive("void500@40")

    assert life.outcome("void500@40") == ("rejected", "too_many_parked")
    assert life.ended["void500@40"].message == "32 events wait on this ticket already"
    assert life.ticket.parked == 32


def test_who_came_last_is_turned_away_whatever_its_time():
    life = crowded().arrive("refund@1")

    assert life.outcome("refund@1") == ("rejected", "too_many_parked")
    assert life.outcome("lost@33")[0] == "parked"


def test_an_event_that_fits_is_taken_though_the_place_is_full():
    life = crowded().arrive("rollback@35")

    assert life.sent == ["rollback"]
    assert life.outcome("lost@2") == ("superseded", "older_differs")
    assert life.ticket.parked == 0


def test_a_whole_batch_of_contradictions_fills_the_place_and_no_more():
    life = Life(ticket("won@1")).arrive(*(f"lost@{second}" for second in range(2, 102)))

    assert life.ticket.parked == 32
    assert [life.outcome(f"lost@{second}")[0] for second in (33, 34)] == ["parked", "rejected"]
