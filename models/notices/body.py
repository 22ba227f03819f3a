"""Builds the text of a notice for any protocol."""

from typing import NamedTuple

from models.lifecycle.ticket import NewNotice, TicketState
from models.notices import pam, seamless
from models.notices.short_body import shortened


class NoticeText(NamedTuple):
    """The exact *body* that is sent, and the *path* behind the operator's URL.

    *impossible* says why the protocol has no such call; the notice is a dead letter at once.
    """

    body: str
    path: str = ""
    impossible: str | None = None


def message(ticket: TicketState, notice: NewNotice) -> NoticeText:
    """Return the text of *notice* in the protocol of the ticket's operator."""
    if notice.body is not None:
        return NoticeText(notice.body)
    if ticket.terms.protocol == "seamless":
        return NoticeText(*seamless.call(ticket, notice))
    return NoticeText(
        pam.body(
            notice.action,
            operator=ticket.terms.code,
            ticket_id=ticket.ticket_id,
            data=notice.data,
        )
    )


def kept_body(ticket: TicketState, notice: NewNotice, body: str) -> str:
    """Return what is stored of the *body* of a new notice."""
    terms = ticket.terms
    if not terms.shortens_bodies:
        return body
    return shortened(body, notice.action, operator=terms.code, ticket_id=ticket.ticket_id)
