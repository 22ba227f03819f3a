"""A ticket's status for people, like `resulted/won`: in SQL, and of a row that was loaded."""

from typing import Final

from models.tables import Ticket
from models.vocabulary import Result

# Of a ticket `t`.
TICKET_STATUS: Final = (
    f"t.status || CASE t.result WHEN '{Result.PENDING}' THEN '' ELSE '/' || t.result END"
)


def ticket_status(ticket: Ticket) -> str:
    """Return the status, with the result if there is one."""
    return ticket.status if ticket.result == Result.PENDING else f"{ticket.status}/{ticket.result}"
