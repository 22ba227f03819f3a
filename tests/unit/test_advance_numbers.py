"""Events that carry `sequence` (rule 9): waiting for a number, and giving it up."""

from tests.support.tickets import ANNOUNCING, WINDOW, Life, ticket

QUARTER = round(WINDOW.total_seconds())  # the parking window, in seconds


def test_a_number_waits_for_those_before_it():
    life = Life().arrive_one_by_one("lost#3@3", "rollback#2@2")
    assert life.outcome("lost#3@3") == ("parked", "waits_for_number")
    assert life.ended["lost#3@3"].message == "number 3 waits for number 1"

    life.arrive("win#1@1")

    assert life.sent == ["win", "rollback", "lost"]


def test_a_window_that_ends_gives_the_gap_up_and_the_parked_numbers_follow_in_order():
    life = Life().arrive_one_by_one("win#1@1", "lost#4@4", "rollback#3@30")
    assert life.sent == ["win"]

    life.end_windows(now=4 + QUARTER)

    assert life.sent == ["win", "rollback", "lost"]
    assert life.ticket.sequence == 4
    assert life.parked == []


def test_what_follows_a_gap_that_was_given_up_is_decided_with_it():
    """Rule 5: each change of a ticket decides its parked events, their window ended or not."""
    life = Life().arrive_one_by_one("win#1@1", "rollback#3@3", "lost#4@300", "refund@301")

    life.end_windows(now=3 + QUARTER)

    assert life.sent == ["win", "rollback", "lost"]
    assert life.outcome("refund@301")[0] == "parked"


def test_a_number_that_was_given_up_is_refused_when_it_comes():
    life = Life().arrive_one_by_one("win#1@1", "rollback#3@3").end_windows(now=3 + QUARTER)

    life.arrive("refund#2@2")

    assert life.outcome("refund#2@2") == ("rejected", "number_used")
    assert life.ended["refund#2@2"].message == "number 2 was decided or given up before"


def test_a_number_that_was_used_is_refused_under_another_id():
    life = Life().arrive_one_by_one("win#1@1", "lost'#1@2")

    assert life.outcome("lost'#1@2") == ("rejected", "number_used")


def test_a_misfit_in_its_turn_is_refused_at_once_and_its_number_used():
    """Rule 9, and the next number goes on."""
    life = Life(ticket("open")).arrive_one_by_one("rollback#1@1", "win#2@2")

    assert life.outcome("rollback#1@1") == ("rejected", "out_of_turn")
    assert life.ended["rollback#1@1"].message == (
        "number 1 is ticket_rollback, which a ticket that is open cannot take"
    )
    assert life.sent == ["win"]


def test_a_number_whose_ticket_never_came_ends_with_its_window():
    life = (
        Life(ticket("absent", ANNOUNCING))
        .arrive_one_by_one("win#1@1", "rollback#2@2")
        .end_windows(now=QUARTER + 9)
    )

    assert life.outcome("win#1@1") == ("rejected", "window_ended")
    assert life.outcome("rollback#2@2") == ("rejected", "window_ended")
    assert life.ticket.sequence == 2


def test_numbers_beyond_an_unended_window_go_on_waiting():
    life = Life().arrive_one_by_one("win#2@1", "rollback#5@30").end_windows(now=1 + QUARTER)

    assert life.sent == ["win"]
    assert life.outcome("rollback#5@30") == ("parked", "waits_for_number")

    life.end_windows(now=30 + QUARTER)
    assert life.sent == ["win", "rollback"]


def test_no_gap_is_given_up_while_the_ticket_is_new():
    life = Life().arrive_one_by_one("create#1@0", "win#3@3").end_windows(now=10 * QUARTER)

    assert life.outcome("win#3@3") == ("parked", "waits_for_number")


def test_a_closed_ticket_answers_a_number_at_once():
    """Rule 7: parked is only what a later event or answer can still make fit."""
    life = Life(ticket("closed@1")).arrive("rollback#7@2")

    assert life.outcome("rollback#7@2") == ("rejected", "ticket_closed")
    assert life.parked == []
