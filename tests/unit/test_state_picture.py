"""The picture of the state machine shows all of the machine, and what a ticket did in it."""

from dataclasses import replace
from itertools import combinations

import pytest

from models.history import EventFact, TicketHistory
from models.history.moves import moves_made
from models.lifecycle.machine import DEFINED
from models.vocabulary import Action, NoticeEnd, Outcome, Result, Status
from tests.unit.test_history_explanation import NOW, notice, parked, ticket
from worker.console.display.state_picture import BOX, HEIGHT, WIDTH, draw_states


def test_it_has_every_state_and_every_transition_of_the_machine():
    picture = draw_states(Status.OPEN, {})

    assert {box.status for box in picture.boxes} == set(Status)
    assert {
        (arrow.source, trigger, arrow.target)
        for arrow in picture.arrows
        for trigger in arrow.triggers
    } == {(each.source, each.trigger.value, each.target) for each in DEFINED}
    assert [box.status for box in picture.boxes if box.present] == [Status.OPEN]


def test_no_two_states_overlap_and_all_are_inside():
    width, height = BOX
    boxes = draw_states(Status.NEW, {}).boxes

    for left, right in combinations(boxes, 2):
        assert abs(left.x - right.x) > width or abs(left.y - right.y) > height
    assert all(width / 2 <= box.x <= WIDTH - width / 2 for box in boxes)
    assert all(height / 2 <= box.y <= HEIGHT - height / 2 for box in boxes)


def test_moves_that_were_made_stand_out_and_are_named_in_the_text():
    made = {(Status.ABSENT, Status.OPEN): 1, (Status.OPEN, Status.RESULTED): 2}
    picture = draw_states(Status.RESULTED, made)

    assert {(arrow.source, arrow.target): arrow.times for arrow in picture.arrows[-2:]} == made
    assert picture.words == (
        "The ticket is resulted. It went from absent to open, open to resulted (2 times)."
    )


def applied(action: Action, before: str, after: str) -> EventFact:
    return replace(
        parked(action, NOW), outcome=Outcome.APPLIED, status_before=before, status_after=after
    )


@pytest.mark.parametrize(
    ("before", "after", "moves"),
    [
        ("resulted/won", "resulted/lost", [("resulted", "open"), ("open", "resulted")]),
        ("absent", "resulted/won", [("absent", "open"), ("open", "resulted")]),
        ("resulted/won", "open", [("resulted", "open")]),
        ("open", "open", []),
    ],
)
def test_an_event_may_have_made_two_moves(before, after, moves):
    history = TicketHistory(
        ticket(Status.OPEN), (applied(Action.LOST, before, after),), (), (), (), cut=False
    )

    assert list(moves_made(history)) == moves


def test_a_create_moves_the_ticket_with_the_partners_answer_and_the_clock_closes_it():
    accepted = notice(Action.CREATE, ended=NoticeEnd.DELIVERED, ended_at=NOW)
    refused = notice(Action.RESERVE, ended=NoticeEnd.REFUSED, ended_at=NOW)
    closed = ticket(Status.CLOSED, Result.WON)
    history = TicketHistory(closed, (), (accepted, refused), (), (), cut=False)

    assert moves_made(history) == {
        (Status.NEW, Status.OPEN): 1,
        (Status.NEW, Status.CANCELLED): 1,
        (Status.RESULTED, Status.CLOSED): 1,
    }
    again = replace(accepted, repeat=1)
    assert moves_made(replace(history, notices=(again,), ticket=ticket(Status.OPEN))) == {}
