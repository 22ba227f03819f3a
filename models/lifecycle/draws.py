"""A lottery ticket takes part in one draw: a second one is another ticket (protocol H11)."""

from models.events.event import Event
from models.lifecycle.ticket import Decision, TicketState
from models.vocabulary import Outcome, Reason


def other_draw(ticket: TicketState, event: Event) -> Decision | None:
    """Why *event* is not this ticket's: it speaks of another draw. None where it does not."""
    draw = event.draw
    if draw is None or ticket.draw in (None, draw):
        return None
    return Decision(
        Outcome.REJECTED,
        Reason.OTHER_DRAW,
        f"the ticket takes part in draw {ticket.draw}, this speaks of draw {draw}; an operator "
        "with `--lottery-ticket ticket+draw` has a ticket for each draw",
    )


def note_draw(ticket: TicketState, event: Event) -> None:
    """The first event in force that names a draw decides which one is the ticket's."""
    if ticket.draw is None and event.draw is not None:
        ticket.draw = event.draw
