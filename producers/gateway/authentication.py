"""Authenticates callers: an operator by its signature (403), a publisher by its key (401)."""

import logging
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Final

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader
from sqlalchemy import Connection

from models.bet_engine.access import Caller, SignedRequest, verify_caller
from models.publishers.keys import KeyHolder, find_key_holder
from producers.gateway.bodies import read_body
from producers.gateway.concurrency import callers_of
from producers.gateway.errors import RequestRefused
from producers.gateway.gateway import TheGateway

log = logging.getLogger(__name__)

KEY_CHARACTERS_MAX: Final = 200
SIGNED_HEADERS: Final = ("timestamp", "operator-name", "signature")
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
KEY_HEADER: Final = "X-Api-Key"
_KEY: Final = APIKeyHeader(
    name=KEY_HEADER,
    scheme_name="publisher-key",
    description="A key from `slipway publishers add`. An operator's secret is not accepted here.",
    auto_error=False,
)


async def _signed(request: Request, gateway: TheGateway) -> AsyncIterator[Caller]:
    timestamp, name, signature = map(request.headers.get, SIGNED_HEADERS)
    body = b""
    # Without all three no body can make it valid.
    if timestamp is not None and name is not None and signature is not None:
        with gateway.bodies_of_operator.admit([name]):
            body = await read_body(
                request,
                gateway.limits,
                most=gateway.limits.event_bytes,
                hold_while_slow=partial(gateway.slow_body, name),
            )
    signed = SignedRequest(_in_utf8(name), timestamp, signature, body)
    caller = await gateway.in_transaction(
        lambda connection: verify_caller(
            connection,
            signed,
            vault=gateway.vault,
            window=gateway.settings.signature_window,
        )
    )
    if not isinstance(caller, Caller):
        log.info("signature_refused", extra={"flaw": caller.value, "path": request.url.path})
        raise RequestRefused(
            _FORBIDDEN,
            "access denied: send operator-name, the current timestamp (Unix seconds), and the"
            " signature of timestamp and body with the operator's secret",
        )
    with gateway.operators.admit([caller.code]):
        yield caller


async def _key_holder(
    gateway: TheGateway, key: Annotated[str | None, Security(_KEY)]
) -> AsyncIterator[KeyHolder]:
    holder = await gateway.in_transaction(
        lambda connection: authenticate_publisher(connection, key)
    )
    with gateway.holders.admit(callers_of(holder)):
        yield holder


def authenticate_publisher(connection: Connection, key: str | None) -> KeyHolder:
    """Return the holder. Raises RequestRefused (401) if the key is missing, unknown or revoked."""
    if key is not None and 1 <= len(key) <= KEY_CHARACTERS_MAX:
        holder = find_key_holder(connection, key)
        if holder is not None:
            return holder
    log.info("key_refused", extra={"key_given": key is not None})
    raise RequestRefused(
        _UNAUTHORIZED,
        "a publisher key is required in the header X-Api-Key (`slipway publishers add`);"
        " it is missing, unknown or revoked",
        headers={"WWW-Authenticate": 'ApiKey realm="slipway"'},
    )


def _publishing_holder(holder: Annotated[KeyHolder, Depends(_key_holder)]) -> KeyHolder:
    if holder.read_only:
        raise RequestRefused(_FORBIDDEN, "this key is read-only and cannot publish")
    return holder


def _in_utf8(value: str | None) -> str | None:
    """Decode a header as UTF-8: the server decoded its bytes as Latin-1."""
    if value is None or value.isascii():
        return value
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return value


SignedCaller = Annotated[Caller, Depends(_signed)]
ReadingHolder = Annotated[KeyHolder, Depends(_key_holder)]
PublishingHolder = Annotated[KeyHolder, Depends(_publishing_holder)]
