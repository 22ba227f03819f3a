"""HTTP clients with the limits that a test wants, and one call with them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

from worker.delivery.http.client import HttpClient
from worker.delivery.http.exchange import CallResult, HttpCall
from worker.delivery.http.limits import TransferLimits

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
BYTES_MAX = 64 * 1024
CALLS_MAX = 64
SHORT = timedelta(milliseconds=300)
LONG = timedelta(seconds=10)

Post = Callable[..., CallResult]


@contextmanager
def open_client(**limits: object) -> Iterator[HttpClient]:
    """Open a client that may call this machine; *limits* replace the usual ones."""
    usual: dict[str, Any] = {
        "connect_timeout": LONG,
        "networks": LOOPBACK,
        "response_bytes_max": BYTES_MAX,
    }
    client = HttpClient(TransferLimits(**(usual | limits)), calls_max=CALLS_MAX)
    yield client
    client.close()


def post_with(
    client: HttpClient, url: str, *, body: bytes = b"{}", timeout: timedelta = LONG
) -> CallResult:
    """Make one call and wait for its result."""
    client.start(HttpCall(call_id=1, url=url, headers={}, body=body, timeout=timeout))
    (call,) = client.finished(LONG)
    assert call.call_id == 1
    return call.result
