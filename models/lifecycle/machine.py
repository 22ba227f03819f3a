"""The ticket's state machine: its states, its triggers, its transitions and what these do.

`TicketLifecycle` is the definition, and everything else is derived from it: the table that
decisions read, the diagram (`models.lifecycle.pages`) and `slipway lifecycle`. It is a
`StateMachine`, not a `StateChart`: a transition that is not defined must raise, never pass in
silence.

Deciding an event reads `TRANSITIONS` instead of running the machine, because one run of the machine
takes some 300 µs and a look-up takes 0.2 µs; intake decides thousands of events a second on one
core. The table is filled at import by running the machine once for each transition, so it cannot
differ from the definition.
"""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from statemachine import State, StateMachine

from models.vocabulary import INBOUND, RESULT_OF, Action, Result, Status, Word


class Trigger(Word):
    """What moves a ticket: an event that was published, or a step of our own."""

    OPEN = Action.OPEN.value
    CREATE = Action.CREATE.value
    RESERVE = Action.RESERVE.value
    PAID = Action.PAID.value
    UPDATE = Action.UPDATE.value
    DISCARD = Action.DISCARD.value
    WIN = Action.WIN.value
    LOST = Action.LOST.value
    VOID = Action.VOID.value
    REFUND = Action.REFUND.value
    ROLLBACK = Action.ROLLBACK.value
    IMPLIED_OPEN = "implied_open"
    CREATE_ACCEPTED = "create_accepted"
    RESERVE_ACCEPTED = "reserve_accepted"
    REFUSED = "refused"
    CLOSE = "close"
    PARTNER_ENDED = "partner_ended"


class TicketLifecycle(StateMachine):
    """The life of one ticket; each transition carries the name of its `Trigger`."""

    absent = State(initial=True, value=Status.ABSENT)
    new = State(value=Status.NEW)
    reserved = State(value=Status.RESERVED)
    open = State(value=Status.OPEN)
    resulted = State(value=Status.RESULTED)
    closed = State(final=True, value=Status.CLOSED)
    cancelled = State(final=True, value=Status.CANCELLED)

    ticket_open = absent.to(open)
    implied_open = absent.to(open)  # by a result, unless the operator announces its tickets
    ticket_create = absent.to(new)
    ticket_reserve = absent.to(new)
    create_accepted = new.to(open)  # the partner answered ticket_create with 200
    reserve_accepted = new.to(reserved)  # the partner answered ticket_reserve with 200
    refused = new.to(cancelled)  # the partner answered anything else, or not at all (rule 10)
    ticket_paid = reserved.to(open)
    ticket_update = open.to(open) | reserved.to(reserved)
    ticket_discard = absent.to(cancelled) | new.to(cancelled) | reserved.to(cancelled)
    ticket_win = open.to(resulted)
    ticket_lost = open.to(resulted)
    ticket_void = open.to(resulted)
    ticket_refund = open.to(resulted)
    ticket_rollback = resulted.to(open)
    close = resulted.to(closed)  # by the clock; never accepted from outside
    partner_ended = (  # the partnership is over (rule 24); one that is absent stays so
        new.to(cancelled) | reserved.to(cancelled) | open.to(cancelled) | resulted.to(closed)
    )

    def on_enter_resulted(self, event: str) -> None:
        """Set the result that the event names."""
        self.model.result = RESULT_OF[Action(event)]

    def on_exit_resulted(self, event: str) -> None:
        """Withdraw the result on a rollback; closing keeps it."""
        if event == Trigger.ROLLBACK:
            self.model.result = Result.PENDING


class Transition(NamedTuple):
    """One way from a status to the next, as the machine defines it."""

    source: Status
    trigger: Trigger
    target: Status


def _transitions() -> list[Transition]:
    """Return the transitions of the machine, in the order of their states."""
    return [
        Transition(Status(state.value), Trigger(event.id), Status(transition.target.value))
        for state in TicketLifecycle.states
        for transition in state.transitions
        for event in transition.events
        if transition.target is not None
    ]


@dataclass(slots=True)
class _Model:
    """What the machine reads and changes of a ticket."""

    status: Status
    result: Any


def _outcome(transition: Transition) -> tuple[Status, Result | None]:
    """Run *transition*. Returns the status it leads to and the result it sets, None if it does not.

    The machine starts from a result that is none of ours, so that one which is left alone shows.
    """
    unset = object()
    model = _Model(transition.source, unset)
    TicketLifecycle(model=model, state_field="status").send(transition.trigger)
    return model.status, None if model.result is unset else Result(model.result)


DEFINED: Final = _transitions()
TRANSITIONS: Final = {(each.source, each.trigger): _outcome(each) for each in DEFINED}
TRIGGER_OF: Final[dict[Action, Trigger]] = {action: Trigger(action) for action in INBOUND}


def next_state(status: Status, result: Result, trigger: Trigger) -> tuple[Status, Result] | None:
    """Return the status and result after *trigger*, or None if the machine does not allow it."""
    target = TRANSITIONS.get((status, trigger))
    if target is None:
        return None
    return target[0], target[1] or result
