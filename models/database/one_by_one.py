"""Works on many tickets at once, and on each alone where the common statement fails.

So what fails because of one ticket does not fail for all of them.
"""

import logging
from collections.abc import Callable, Collection
from typing import Final

from sqlalchemy import Connection

from models.database.errors import UNEXPLAINED, Blame, blame

log = logging.getLogger(__name__)

TICKET_SKIPPED: Final = "ticket_left_as_it_is"

OnBlamed = Callable[[int, Exception], int]


def together_or_one_by_one(
    connection: Connection,
    together: Callable[[], int],
    *,
    tickets: Callable[[], Collection[int]],
    alone: Callable[[int], int],
    blamed: OnBlamed | None = None,
) -> int:
    """Return the count from *together* or, if it fails, the sum of *alone* for each ticket.

    A ticket that fails alone is logged and left unchanged for the next round; *blamed* is called
    instead where the ticket's own content is to blame. Raises errors of the server, which concern
    all tickets.
    """
    try:
        with connection.begin_nested():
            return together()
    except Exception as error:
        if _is_server_error(connection, error):
            raise
    return sum(_alone(connection, ticket, alone, blamed) for ticket in sorted(tickets()))


def _alone(
    connection: Connection, ticket: int, alone: Callable[[int], int], blamed: OnBlamed | None
) -> int:
    try:
        with connection.begin_nested():
            return alone(ticket)
    except Exception as error:
        if _is_server_error(connection, error):
            raise
        if blame(error) is Blame.UNCLEAR:
            log.warning(UNEXPLAINED, extra={"error": type(error).__name__, "ticket": ticket})
            return 0
        if blamed is None:
            log.exception(TICKET_SKIPPED, extra={"ticket": ticket})
            return 0
        return blamed(ticket, error)


def _is_server_error(connection: Connection, error: Exception) -> bool:
    return blame(error) is Blame.SERVER or connection.invalidated
