"""Is a connection that waited in the pool alive? Asked where it was not used a moment ago.

The question is a round trip before each transaction, and answers only for the moment before. A
server that ended a session said so on its socket, where it can be seen without asking. What is not
seen there, a server that vanished silently, fails the transaction like any other loss.
"""

import select
import time
from collections.abc import Callable
from typing import Any, Final

import psycopg
from sqlalchemy import PoolProxiedConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

Driver = psycopg.Connection[Any]

ASKED_AFTER: Final = 1.0  # seconds without use
_LEFT_AT: Final = "slipway_left_at"  # in the pool's record of a connection


class Liveness:
    """Watches the connections of one pool."""

    def __init__(
        self, ping: Callable[[Any], object], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepare: `left` and `taken` are to be called for each connection.

        *ping* asks whether it lives; it raises the driver's error if not.
        """
        self._ping = ping
        self._monotonic = monotonic

    def left(self, driver: Driver | None, record: ConnectionPoolEntry) -> None:
        """Note when a connection came back to the pool."""
        if driver is not None:
            record.info[_LEFT_AT] = self._monotonic()

    def taken(
        self, driver: Driver, record: ConnectionPoolEntry, _proxy: PoolProxiedConnection
    ) -> None:
        """Raise InvalidatePoolError, so that the pool connects again, if the connection is dead."""
        left_at = record.info.pop(_LEFT_AT, None)
        if left_at is None:
            return  # it was opened just now
        if self._monotonic() - left_at < ASKED_AFTER and _is_quiet(driver):
            return
        try:
            self._ping(driver)
        except psycopg.Error as error:
            raise InvalidatePoolError from error


def _is_quiet(driver: Driver) -> bool:
    """Return whether nothing has come from the server, nor has it ended the connection."""
    if driver.closed:
        return False
    socket = select.poll()
    socket.register(driver.fileno(), select.POLLIN)
    return not socket.poll(0)
