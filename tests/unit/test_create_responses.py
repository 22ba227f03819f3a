"""The partner's response to a create or reserve (rules 10 and 11), and events that wait for it."""

import pytest

from models.lifecycle.effects import accept_create, refuse_create
from models.lifecycle.ticket import NewNotice
from models.vocabulary import Action, Status
from tests.support.tickets import Life, standing, ticket

ASKED = [(Action.CREATE, "open"), (Action.RESERVE, "reserved")]
MOVED_ON = ["absent", "reserved", "open", "won@1", "closed@1", "cancelled"]


@pytest.mark.parametrize(("action", "status"), ASKED)
def test_two_hundred_opens_or_reserves_the_ticket(action, status):
    """Rule 10: 200 recorded while `new`."""
    state = ticket("new")

    accept_create(state, action)

    assert (state.status, state.changed) == (status, True)
    assert state.new_notices == []


@pytest.mark.parametrize("in_doubt", [False, True])
@pytest.mark.parametrize(("action", "_"), ASKED)
def test_anything_else_cancels_the_ticket_and_owes_its_discard(action, _, in_doubt):
    """Rule 10: anything else → cancelled + discard."""
    state = ticket("new")

    refuse_create(state, action, why="no good answer came: 500", in_doubt=in_doubt)

    assert state.status is Status.CANCELLED
    assert state.cancelled_by == f"{action}: no good answer came: 500"
    assert state.new_notices == [
        NewNotice(Action.DISCARD, 0, {"reason": "no good answer came: 500"}, event_id=None)
    ]
    assert state.in_doubt is in_doubt


@pytest.mark.parametrize("status", MOVED_ON)
@pytest.mark.parametrize("action", [action for action, _ in ASKED])
def test_success_counts_only_while_the_ticket_is_new(action, status):
    """H26: a late 200 after the discard was decided does not open the ticket."""
    state = ticket(status)

    accept_create(state, action)

    assert state == ticket(status)


@pytest.mark.parametrize("status", MOVED_ON)
def test_a_refusal_moves_only_a_ticket_that_is_new(status):
    state = ticket(status)

    refuse_create(state, Action.CREATE, why="refused", in_doubt=False)

    assert state == ticket(status)


def test_a_doubt_is_noted_even_when_the_ticket_was_discarded_meanwhile():
    """H25: the partner may have debited, so that one discard is not enough."""
    life = Life().arrive("create@0").arrive("discard@1")

    life.refuse(Action.CREATE, in_doubt=True)

    assert life.ticket.in_doubt
    assert life.sent == ["create", "discard"]


# --- who changes a ticket decides what waits for it (rule 5, H18) --------------------------------


def test_a_win_that_waited_for_the_partner_is_applied_with_its_answer():
    """H18: `create | win parked | partner 200 → open` must not leave the win behind."""
    life = Life().arrive("create@0").arrive("win@1")
    assert life.outcome("win@1") == ("parked", "waits_for_ticket")

    life.take(Action.CREATE)

    assert standing(life.ticket) == "won@1"
    assert life.sent == ["create", "win"]


def test_a_whole_sequence_that_waited_is_sent_in_order():
    life = Life().arrive("create@0").arrive_one_by_one("lost@3", "rollback@2", "win@1")

    life.take(Action.CREATE)

    assert life.sent == ["create", "win", "rollback", "lost"]


def test_what_waited_for_a_ticket_that_was_refused_is_rejected_with_the_reason():
    """H29: never parked on a cancelled ticket; the reason says who cancelled and why."""
    life = Life().arrive("create@0").arrive("win@1")

    life.refuse(Action.CREATE)

    assert life.outcome("win@1") == ("rejected", "ticket_cancelled")
    assert life.ended["win@1"].message == (
        "the ticket was cancelled by ticket_create: the partner said no"
    )
    assert life.sent == ["create", "discard"]
    assert life.ticket.parked == 0


def test_a_win_waits_through_the_reserve_until_the_player_has_paid():
    life = Life().arrive("reserve@0").arrive("win@2")
    assert life.take(Action.RESERVE).outcome("win@2") == ("parked", "waits_for_ticket")

    life.arrive("paid@1")

    assert standing(life.ticket) == "won@2"
    assert life.sent == ["reserve", "win"]


def test_a_payment_that_overtakes_the_partner_s_response_waits_for_it():
    life = Life().arrive("reserve@0").arrive("paid@1")

    life.take(Action.RESERVE)

    assert life.ticket.status is Status.OPEN


# --- create, discard and result in other orders (rule 11) ----------------------------------------


def test_a_result_that_overtakes_its_create_leaves_the_create_refused():
    """H28: `win@2 | create@1`: the partner was never asked to debit, and that is visible."""
    life = Life().arrive_one_by_one("win@2", "create@1")

    assert life.outcome("create@1") == ("rejected", "already_known")
    assert life.sent == ["win"]


def test_a_late_open_behind_a_result_is_harmless():
    """H28: late `ticket_open` fills data."""
    life = Life().arrive_one_by_one("win@2", "open@1")

    assert life.outcome("open@1") == ("applied", "late_open")
    assert standing(life.ticket) == "won@2"


def test_a_discard_before_its_create_leaves_a_tombstone():
    """Rule 11, H30: `discard@1 | create@2`."""
    life = Life().arrive_one_by_one("discard@1", "create@2")

    assert life.ticket.status is Status.CANCELLED
    assert life.sent == ["discard"]
    assert life.outcome("create@2") == ("rejected", "ticket_cancelled")


def test_a_discard_that_comes_after_a_quick_partner_is_refused():
    """H30, the other order: moves at the partner can't be undone."""
    life = Life().arrive("create@1").take(Action.CREATE).arrive("discard@2")

    assert life.ticket.status is Status.OPEN
    assert life.outcome("discard@2") == ("rejected", "already_open")


def test_a_discard_while_the_create_is_on_its_way_wins_over_its_success():
    """H26 once more, with the publisher's own discard."""
    life = Life().arrive_one_by_one("create@0", "discard@1").take(Action.CREATE)

    assert life.ticket.status is Status.CANCELLED
    assert life.sent == ["create", "discard"]


def test_a_second_create_is_refused_and_never_sent():
    """H24, rule 10: at most once."""
    life = Life().arrive_one_by_one("create@0", "create'@1")

    assert life.sent == ["create"]
    assert life.outcome("create'@1") == ("rejected", "already_known")
