"""The ticket's state machine: the definition all else is derived from.

It is a `StateMachine`, not a `StateChart`: a move that is not listed must raise, never pass in
silence. The hot path does not run it (some 300 µs a move); it reads `models.lifecycle.moves`,
which is derived from this class at import.
"""

from statemachine import State, StateMachine

from models.vocabulary import RESULT_OF, Action, Result, Status


class TicketLifecycle(StateMachine):
    """The life of one ticket. Events named `ticket_*` are a publisher's, the others our own."""

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
    create_taken = new.to(open)  # the partner said 200 to ticket_create
    reserve_taken = new.to(reserved)  # the partner said 200 to ticket_reserve
    refused = new.to(cancelled)  # it said anything else, or nothing (rule 10)
    ticket_paid = reserved.to(open)
    ticket_update = open.to(open) | reserved.to(reserved)
    ticket_discard = absent.to(cancelled) | new.to(cancelled) | reserved.to(cancelled)
    ticket_win = open.to(resulted)
    ticket_lost = open.to(resulted)
    ticket_void = open.to(resulted)
    ticket_refund = open.to(resulted)
    ticket_rollback = resulted.to(open)
    close = resulted.to(closed)  # the clock; never accepted from outside

    def on_enter_resulted(self, event: str) -> None:
        """A result names what came of the bet."""
        self.model.result = RESULT_OF[Action(event)]

    def on_exit_resulted(self, event: str) -> None:
        """A rollback withdraws the result; closing keeps it for good."""
        if event == Action.ROLLBACK:
            self.model.result = Result.PENDING
