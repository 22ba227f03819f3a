"""The text of a notice, whatever its partner's protocol."""

from typing import NamedTuple

from models.lifecycle.ticket import NewNotice, TicketState
from models.notices import pam, seamless


class NoticeText(NamedTuple):
    """What is sent: *path* behind the operator's URL, and the exact *body*.

    *impossible* says why the protocol has no such call: the notice is dead from the start.
    """

    body: str
    path: str = ""
    impossible: str | None = None


def message(ticket: TicketState, owed: NewNotice) -> NoticeText:
    """The message for *owed*, by the protocol of the ticket's operator."""
    if owed.body is not None:
        return NoticeText(owed.body)
    if ticket.terms.protocol == "seamless":
        return NoticeText(*seamless.call(ticket, owed))
    return NoticeText(
        pam.body(
            owed.action,
            operator=ticket.terms.code,
            ticket_id=ticket.ticket_id,
            data=owed.data,
        )
    )
