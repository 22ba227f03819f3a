"""A port for a server that a test starts, which no other test's server takes meanwhile."""

import os
import socket
from itertools import cycle
from secrets import randbelow

# Below the ports that the embedded servers draw, and those of outgoing connections.
FIRST, LAST = 10_000, 15_000
EACH = 500  # a range for each process of pytest-xdist; beyond the tenth they share one


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free, and was not returned before for a long time.

    A process that is to listen there needs seconds to start, so a port drawn by chance would now
    and then be drawn twice. Another run of the tests on this machine begins elsewhere.
    """
    return next(port for port in _PORTS if _is_free(port))


def _of_this_process() -> range:
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = FIRST + number * EACH % (LAST - FIRST)
    return range(first, first + EACH)


def _from(start: int, ports: range) -> "cycle[int]":
    return cycle([*ports[start:], *ports[:start]])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


_PORTS = _from(randbelow(EACH), _of_this_process())
