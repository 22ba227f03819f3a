"""Free TCP ports on this machine."""

import socket
from secrets import randbelow

LOOPBACK = "127.0.0.1"

# Below the range from which Linux (32768) and macOS (49152) take the local ports of outgoing
# connections. A port from that range can be lost to any client while its server restarts, and a
# client that keeps dialling a dead one there may end up connected to itself.
FIRST = 15_000
LAST = 32_000
TRIES_MAX = 200


def free_port() -> int:
    """Return a TCP port on which nobody listens at this moment.

    Somebody else may take it before the caller does: whoever starts a server on it tries again
    with another. Drawn from the system's randomness, so that two processes with the same seed
    draw differently. Raises OSError when no free port was found in TRIES_MAX draws.
    """
    for _ in range(TRIES_MAX):
        port = FIRST + randbelow(LAST - FIRST)
        if _is_free(port):
            return port
    raise OSError(f"no free TCP port found between {FIRST} and {LAST} on {LOOPBACK}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
