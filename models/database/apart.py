"""Does for many tickets at once what must not fail for all of them because it fails for one."""

import logging
from collections.abc import Callable, Collection
from typing import Final

from sqlalchemy import Connection

from models.database.engine import UNEXPLAINED, Blame, blame

log = logging.getLogger(__name__)

LEFT: Final = "ticket_left_as_it_is"

Blamed = Callable[[int, Exception], int]


def together_or_one_by_one(
    connection: Connection,
    together: Callable[[], int],
    *,
    tickets: Callable[[], Collection[int]],
    alone: Callable[[int], int],
    blamed: Blamed | None = None,
) -> int:
    """Count what *together* does, or, where it fails, what *alone* does for each of *tickets*.

    What fails alone is logged and left as it is for the next round; *blamed* is called instead
    where the ticket's own content is to blame. Raises errors of the server, which concern all.
    """
    try:
        with connection.begin_nested():
            return together()
    except Exception as error:
        if _is_the_server_s(connection, error):
            raise
    return sum(_alone(connection, one, alone, blamed) for one in sorted(tickets()))


def _alone(
    connection: Connection, ticket: int, alone: Callable[[int], int], blamed: Blamed | None
) -> int:
    try:
        with connection.begin_nested():
            return alone(ticket)
    except Exception as error:
        if _is_the_server_s(connection, error):
            raise
        if blame(error) is Blame.UNCLEAR:
            log.warning(UNEXPLAINED, extra={"error": type(error).__name__, "ticket": ticket})
            return 0
        if blamed is None:
            log.exception(LEFT, extra={"ticket": ticket})
            return 0
        return blamed(ticket, error)


def _is_the_server_s(connection: Connection, error: Exception) -> bool:
    return blame(error) is Blame.SERVER or connection.invalidated
