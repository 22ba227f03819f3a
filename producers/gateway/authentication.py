"""Who asks: an operator by its signature (403 otherwise), a publisher by its key (401)."""

import logging
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader
from sqlalchemy import Connection

from models.bet_engine.access import Caller, SignedRequest, verify_caller
from models.publishers.keys import KeyHolder, find_key_holder
from producers.gateway.bodies import read_body
from producers.gateway.errors import Refused
from producers.gateway.gateway import TheGateway

log = logging.getLogger(__name__)

KEY_CHARACTERS_MAX: Final = 200
SIGNED_HEADERS: Final = ("timestamp", "operator-name", "signature")
_UNKNOWN: Final = 401
_FORBIDDEN: Final = 403
KEY_HEADER: Final = "X-Api-Key"
_KEY: Final = APIKeyHeader(
    name=KEY_HEADER,
    scheme_name="publisher key",
    description="A key from `slipway publishers add`. An operator's secret is none.",
    auto_error=False,
)


async def _signed(request: Request, gateway: TheGateway) -> AsyncIterator[Caller]:
    timestamp, name, signature = map(request.headers.get, SIGNED_HEADERS)
    body = b""
    if None not in (timestamp, name, signature):  # without them no body makes it genuine
        body = await read_body(
            request,
            gateway.limits,
            most=gateway.limits.event_bytes,
            when_slow=gateway.slow_body,
        )
    asked = SignedRequest(_in_utf8(name), timestamp, signature, body)
    found = await gateway.in_transaction(
        lambda connection: verify_caller(
            connection, asked, vault=gateway.vault, window=gateway.settings.signature_window
        )
    )
    if not isinstance(found, Caller):
        log.info("signature_refused", extra={"flaw": found.value, "path": request.url.path})
        raise Refused(
            _FORBIDDEN,
            "access is refused: send operator-name, the present timestamp (unix seconds), and the"
            " signature of timestamp and body with the operator's secret",
        )
    with gateway.turnstile.passed(f"operator {found.code}"):
        yield found


async def _holding_a_key(
    gateway: TheGateway, key: Annotated[str | None, Security(_KEY)]
) -> AsyncIterator[KeyHolder]:
    holder = await gateway.in_transaction(lambda connection: holder_or_refusal(connection, key))
    with gateway.turnstile.passed(f"publisher {holder.name}"):
        yield holder


def holder_or_refusal(connection: Connection, key: str | None) -> KeyHolder:
    """Whose key it is. Raises Refused (401) for none, a stranger's or a revoked one."""
    if key is not None and 1 <= len(key) <= KEY_CHARACTERS_MAX:
        holder = find_key_holder(connection, key)
        if holder is not None:
            return holder
    log.info("key_refused", extra={"given": key is not None})
    raise Refused(
        _UNKNOWN,
        "a publisher key is needed in the header X-Api-Key (`slipway publishers add`);"
        " this one is missing, unknown or revoked",
        headers={"WWW-Authenticate": 'ApiKey realm="slipway"'},
    )


def _may_publish(holder: Annotated[KeyHolder, Depends(_holding_a_key)]) -> KeyHolder:
    if holder.read_only:
        raise Refused(_FORBIDDEN, "this key is read-only: it may not publish")
    return holder


def _in_utf8(value: str | None) -> str | None:
    """A header's bytes, which arrive as Latin-1, as the UTF-8 they were written in."""
    if value is None or value.isascii():
        return value
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return value


SignedCaller = Annotated[Caller, Depends(_signed)]
Reader = Annotated[KeyHolder, Depends(_holding_a_key)]
Publishing = Annotated[KeyHolder, Depends(_may_publish)]
