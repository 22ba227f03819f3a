"""The partner's answer to a create or reserve, as an input of the machine (rule 10)."""

from models.lifecycle.moves import moved
from models.lifecycle.ticket import Owed, TicketState
from models.vocabulary import Action, Status

_TAKEN = {Action.CREATE: "create_taken", Action.RESERVE: "reserve_taken"}


def taken(ticket: TicketState, action: Action) -> None:
    """The partner said 200: the ticket opens or is reserved, if it still waits for that (H26)."""
    _move(ticket, _TAKEN[action])


def refused(ticket: TicketState, action: Action, *, why: str, in_doubt: bool) -> None:
    """Anything else: the ticket is cancelled and the partner told to discard it.

    *in_doubt*: the partner may have debited without our knowing, so that one discard is not
    enough (H25). A ticket that waits no longer keeps its status; the doubt is noted all the same.
    """
    if in_doubt:
        ticket.in_doubt = True
    if _move(ticket, "refused"):
        ticket.cancelled_by = f"{action}: {why}"
        ticket.owed.append(Owed(Action.DISCARD, 0, {"reason": why}, event_id=None))


def _move(ticket: TicketState, trigger: str) -> bool:
    if ticket.status is not Status.NEW:
        return False
    target = moved(ticket.status, ticket.result, trigger)
    assert target is not None, "a new ticket takes every answer"
    ticket.status, ticket.result = target
    return True
