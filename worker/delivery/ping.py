"""Checks whether one partner responds, with the same HTTP client as every delivery."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final, assert_never

from models.outbox.values import Partner
from worker.delivery.http.client import HttpClient
from worker.delivery.http.exchange import HttpCall, HttpResponse, NoResponse, NotReached
from worker.delivery.http.transfer import TransferLimits
from worker.delivery.protocols import ADAPTERS

BEGINNING_CHARACTERS_MAX: Final = 500
_WAIT_MARGIN: Final = timedelta(seconds=10)  # the call ends by its own timeout before


@dataclass(frozen=True, slots=True)
class PingResult:
    """The response to a ping. *there*: it is that of a partner with this protocol."""

    there: bool
    url: str
    sent: str
    took_ms: float
    status: int | None = None  # None without a response
    problem: str | None = None
    beginning: str = field(default="", repr=False)  # of the response


def ping(
    partner: Partner, *, secret: str, limits: TransferLimits, timeout: timedelta
) -> PingResult:
    """Send the ping of the partner's protocol, and wait for the response."""
    adapter = ADAPTERS[partner.protocol]
    request = adapter.build_ping(partner, secret=secret)
    client = HttpClient(limits, calls_max=1)
    try:
        client.start(HttpCall(1, request.url, request.headers, request.body, timeout))
        (call,) = client.finished(timeout + _WAIT_MARGIN)
    finally:
        client.close()
    result = PingResult(
        there=False,
        url=request.url,
        sent=request.body.decode(),
        took_ms=round(call.took / timedelta(milliseconds=1), 1),
    )
    match call.result:
        case HttpResponse() as response:
            beginning = response.body[: 4 * BEGINNING_CHARACTERS_MAX].decode(errors="replace")
            return replace(
                result,
                there=adapter.is_ping_response(response),
                status=response.status,
                beginning=beginning[:BEGINNING_CHARACTERS_MAX],
            )
        case NotReached(problem) | NoResponse(problem):
            return replace(result, problem=problem)
        case _:
            assert_never(call.result)
