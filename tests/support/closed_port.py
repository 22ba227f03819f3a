"""A port on which no process listens."""

import socket


def closed_port() -> int:
    """Return a port of 127.0.0.1 that was free a moment ago; a connection to it is refused."""
    with socket.socket() as claimed:
        claimed.bind(("127.0.0.1", 0))
        port: int = claimed.getsockname()[1]
        return port
