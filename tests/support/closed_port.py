"""A port on which no process listens, nor will."""

import socket
from functools import cache


@cache
def closed_port() -> int:
    """Return a port of 127.0.0.1 that refuses connections as long as this process lives.

    It is bound and not listened on: no other process can take it meanwhile.
    """
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    port: int = held.getsockname()[1]
    held.detach()  # open until the process ends
    return port
