"""Wires with the terms a test wants, and one call over them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

from worker.delivery.calls import Call, Reply
from worker.delivery.transfer import Terms
from worker.delivery.wire import Wire

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
BYTES_MAX = 64 * 1024
CALLS_MAX = 64
SHORT = timedelta(milliseconds=300)
LONG = timedelta(seconds=10)

Post = Callable[..., Reply]


@contextmanager
def open_wire(**terms: object) -> Iterator[Wire]:
    """Open a wire to this machine, with other *terms* where given, and close it."""
    given: dict[str, Any] = {
        "connect_timeout": LONG,
        "networks": LOOPBACK,
        "answer_bytes_max": BYTES_MAX,
    }
    wire = Wire(Terms(**(given | terms)), calls_max=CALLS_MAX)
    yield wire
    wire.close()


def post_over(wire: Wire, url: str, *, body: bytes = b"{}", timeout: timedelta = LONG) -> Reply:
    """Make one call and wait for its reply."""
    wire.start(Call(token=1, url=url, headers={}, body=body, timeout=timeout))
    (answered,) = wire.finished(LONG)
    assert answered.token == 1
    return answered.reply
