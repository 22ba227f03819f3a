"""Wires with the terms a test wants, and one call over them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

from worker.delivery.http.client import HttpClient
from worker.delivery.http.exchange import CallResult, HttpCall
from worker.delivery.http.transfer import TransferLimits

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
BYTES_MAX = 64 * 1024
CALLS_MAX = 64
SHORT = timedelta(milliseconds=300)
LONG = timedelta(seconds=10)

Post = Callable[..., CallResult]


@contextmanager
def open_wire(**terms: object) -> Iterator[HttpClient]:
    """Open a wire to this machine, with other *terms* where given, and close it."""
    given: dict[str, Any] = {
        "connect_timeout": LONG,
        "networks": LOOPBACK,
        "response_bytes_max": BYTES_MAX,
    }
    wire = HttpClient(TransferLimits(**(given | terms)), calls_max=CALLS_MAX)
    yield wire
    wire.close()


def post_over(
    wire: HttpClient, url: str, *, body: bytes = b"{}", timeout: timedelta = LONG
) -> CallResult:
    """Make one call and wait for its reply."""
    wire.start(HttpCall(call_id=1, url=url, headers={}, body=body, timeout=timeout))
    (answered,) = wire.finished(LONG)
    assert answered.call_id == 1
    return answered.result
