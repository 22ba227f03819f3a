"""Fetches one token and keeps none: the first step of a ping, and a check of the doctor's."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from models.access.values import ClientCredentials
from worker.delivery.http.client import HttpClient
from worker.delivery.http.exchange import (
    ConnectionOptions,
    FinishedCall,
    HttpCall,
    HttpResponse,
)
from worker.delivery.token_endpoint import Granted, read_token, shown_endpoint, token_request

WAIT_MARGIN: Final = timedelta(seconds=10)  # a call ends by its own timeout before


@dataclass(frozen=True, slots=True)
class TokenStep:
    """What the token endpoint answered, without the token."""

    endpoint: str
    took_ms: float
    status: int | None = None  # None without a response
    expires_in: float | None = None  # seconds; None: there is no token
    problem: str | None = None


def fetch_token(
    client: HttpClient,
    credentials: ClientCredentials,
    *,
    code: str,
    user_agent: str | None,
    connection: ConnectionOptions | None,
    timeout: timedelta,
) -> tuple[TokenStep, str | None]:
    """Fetch a token for the operator *code*. Returns what was met, and the token if there is one.

    *user_agent*, *connection*: of all calls for that operator.
    """
    request = token_request(credentials, user_agent=user_agent)
    call = call_once(
        client,
        HttpCall(
            call_id=0,
            url=request.url,
            headers=request.headers,
            body=request.body,
            timeout=timeout,
            own_connection=True,
            connection=connection,
        ),
    )
    met = read_token(call.result, credentials, code=code)
    step = TokenStep(
        endpoint=shown_endpoint(credentials),
        took_ms=round(call.took / timedelta(milliseconds=1), 1),
        status=call.result.status if isinstance(call.result, HttpResponse) else None,
        expires_in=met.lifetime.total_seconds() if isinstance(met, Granted) else None,
        problem=None if isinstance(met, Granted) else met.problem,
    )
    return step, met.token if isinstance(met, Granted) else None


def call_once(client: HttpClient, call: HttpCall) -> FinishedCall:
    """Make *call* and wait until it is over."""
    client.start(call)
    (ended,) = client.finished(call.timeout + WAIT_MARGIN)
    return ended
