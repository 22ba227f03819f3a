"""The connections that libcurl keeps for the next call, and whether their peer has closed them.

libcurl looks for dead connections once a second at most; a partner that closes right after its
response leaves many of them in between. So each kept connection is checked just before it carries
a request: one that is readable although nothing was requested was closed by the peer, or holds
bytes that belong to no call.
"""

import select
from collections.abc import Hashable
from typing import Final

_READABLE: Final = select.POLLIN | select.POLLRDHUP


class IdleConnections:
    """Finds the socket of a connection by its local address. For the thread of the event loop."""

    def __init__(self) -> None:
        self._sockets: dict[Hashable, _Socket] = {}  # by the connection's local address
        self._addresses: dict[int, Hashable] = {}  # the inverse: sockets are few, ports many

    def remember(self, address: Hashable, descriptor: int) -> None:
        """Remember the socket of a connection whose first call is over; -1 if it is not kept."""
        if descriptor < 0:
            return
        before = self._addresses.get(descriptor)
        known = self._sockets.get(before)
        if known is not None and known.descriptor == descriptor:
            del self._sockets[before]
        self._addresses[descriptor] = address
        self._sockets[address] = _Socket(descriptor)

    def is_silent(self, address: Hashable) -> bool:
        """Return whether the connection is open and has sent nothing. False if it is unknown."""
        known = self._sockets.get(address)
        return known is not None and not known.poll.poll(0)


class _Socket:
    """A socket, and what asks the system about it: made once, as it is asked for each call."""

    __slots__ = ("descriptor", "poll")

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.poll = select.poll()
        self.poll.register(descriptor, _READABLE)
