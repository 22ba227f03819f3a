"""The state machine, and the table the hot path reads: the same transitions, and no others.

The expected transitions are written down by hand.
"""

from dataclasses import dataclass

import pytest
from statemachine.exceptions import TransitionNotAllowed

from models.lifecycle.machine import DEFINED, TRANSITIONS, TicketLifecycle, Trigger, next_state
from models.vocabulary import INBOUND, Action, Result, Status

LISTED = """
    absent    ticket_open      open
    absent    implied_open     open
    absent    ticket_create    new
    absent    ticket_reserve   new
    absent    ticket_discard   cancelled
    new       create_accepted  open
    new       reserve_accepted reserved
    new       refused          cancelled
    new       ticket_discard   cancelled
    new       partner_ended    cancelled
    reserved  ticket_paid      open
    reserved  ticket_update    reserved
    reserved  ticket_discard   cancelled
    reserved  partner_ended    cancelled
    open      ticket_update    open
    open      ticket_win       resulted
    open      ticket_lost      resulted
    open      ticket_void      resulted
    open      ticket_refund    resulted
    open      partner_ended    cancelled
    resulted  ticket_rollback  open
    resulted  close            closed
    resulted  partner_ended    closed
"""
EXPECTED = {
    (Status(start), trigger): Status(end)
    for start, trigger, end in (line.split() for line in LISTED.split("\n") if line.strip())
}
NAMED_RESULT = {
    "ticket_win": Result.WON,
    "ticket_lost": Result.LOST,
    "ticket_void": Result.VOID,
    "ticket_refund": Result.REFUNDED,
    "ticket_rollback": Result.PENDING,
}
OWN = (
    *("implied_open", "create_accepted", "reserve_accepted"),
    *("refused", "close", "partner_ended"),
)
TRIGGERS = (*(action.value for action in INBOUND), *OWN)


@dataclass
class Model:
    """What the machine needs of a model."""

    status: Status
    result: Result


def send(trigger: str, model: Model) -> None:
    TicketLifecycle(model=model, state_field="status").send(trigger)


@pytest.mark.parametrize("trigger", TRIGGERS)
@pytest.mark.parametrize("status", list(Status))
def test_machine_and_table_make_the_same_transition_or_none(status, trigger):
    """Every (status, result, trigger)."""
    for result in Result:
        model = Model(status, result)
        end = EXPECTED.get((status, trigger))

        if end is None:
            assert next_state(status, result, Trigger(trigger)) is None
            with pytest.raises(TransitionNotAllowed):
                send(trigger, model)
            assert model == Model(status, result), (
                "a refused transition leaves the ticket as it was"
            )
        else:
            expected = (end, NAMED_RESULT.get(trigger, result))
            assert next_state(status, result, Trigger(trigger)) == expected
            send(trigger, model)
            assert (model.status, model.result) == expected


def test_the_table_is_the_one_written_by_hand():
    assert {(source, trigger): target for source, trigger, target in DEFINED} == EXPECTED
    assert {key: target for key, (target, _) in TRANSITIONS.items()} == EXPECTED


def test_every_trigger_of_the_machine_is_tested_here():
    moves = [move for state in TicketLifecycle.states for move in state.transitions]

    assert {str(event) for move in moves for event in move.events} == set(TRIGGERS)
    assert set(Trigger) == set(TRIGGERS)


@pytest.mark.parametrize("word", ["ticket_closed", "ticket_lose", "TICKET_WIN", "", "__initial__"])
@pytest.mark.parametrize("status", list(Status))
def test_a_word_the_machine_does_not_know_changes_nothing(status, word):
    """`ticket_closed` is what the partner is sent; no publisher can send it to us."""
    model = Model(status, Result.PENDING)

    with pytest.raises(ValueError, match="is not a valid Trigger"):
        Trigger(word)
    with pytest.raises(TransitionNotAllowed):
        send(word, model)
    assert model == Model(status, Result.PENDING)


def test_nothing_leads_out_of_closed_and_cancelled():
    assert {start for start, _ in TRANSITIONS} & {Status.CLOSED, Status.CANCELLED} == set()


def test_a_ticket_begins_absent():
    model = Model(status=None, result=Result.PENDING)  # type: ignore[arg-type]  # not begun yet

    TicketLifecycle(model=model, state_field="status")

    assert model.status == Status.ABSENT


def test_every_action_but_closed_comes_from_outside():
    assert set(INBOUND) == set(Action) - {Action.CLOSED}
