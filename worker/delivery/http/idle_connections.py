"""The connections that libcurl keeps for the next call, and whether their peer has closed them.

libcurl looks for dead connections once a second at most; a partner that closes right after its
answer leaves many of them in between. So each kept connection is looked at when it is about to
carry a request: one that can be read although nothing was asked was closed by the peer, or holds
what belongs to no call.
"""

import select
from collections.abc import Hashable
from typing import Final

_READABLE: Final = select.POLLIN | select.POLLRDHUP


class KeptConnections:
    """Finds the socket of a connection by its local end. For the thread of the wire."""

    def __init__(self) -> None:
        self._sockets: dict[Hashable, int] = {}  # by the connection's local end
        self._ends: dict[int, Hashable] = {}  # the other way round: sockets are few, ports many

    def keep(self, end: Hashable, descriptor: int) -> None:
        """Remember the socket of a connection whose call is over; -1: it is not kept."""
        if descriptor < 0 or self._ends.get(descriptor) == end:
            return
        before = self._ends.get(descriptor)
        if before is not None and self._sockets.get(before) == descriptor:
            del self._sockets[before]
        self._ends[descriptor] = end
        self._sockets[end] = descriptor

    def is_silent(self, end: Hashable) -> bool:
        """Say whether the connection is open and says nothing. False for one not known here."""
        descriptor = self._sockets.get(end)
        if descriptor is None:
            return False
        look = select.poll()
        look.register(descriptor, _READABLE)
        return not look.poll(0)
