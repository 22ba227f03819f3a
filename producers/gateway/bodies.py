"""Reads request bodies with limits on size and time, checked while they arrive."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Final

import anyio
from fastapi import Request
from starlette.requests import ClientDisconnect

from producers.gateway.errors import RequestRefused
from producers.gateway.limits import Limits

_REQUEST_TIMEOUT: Final = 408
_TOO_LARGE: Final = 413
_UNSUPPORTED_MEDIA_TYPE: Final = 415


async def read_parts(request: Request, *, interval: float) -> AsyncIterator[bytes]:
    """Yield the body as it arrives, and empty bytes after every *interval* seconds of silence.

    Raises ClientDisconnect if the connection ends before the body does.
    """
    more = True
    while more:
        with anyio.move_on_after(interval) as waiting:
            message = await request.receive()
        if waiting.cancelled_caught:
            yield b""
            continue
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        if part := message.get("body", b""):
            yield part


async def read_body(
    request: Request,
    limits: Limits,
    *,
    most: int,
    hold_while_slow: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> bytes:
    """Read a whole body of at most *most* bytes.

    Raises RequestRefused: 413 (too large), 415 (compressed), 408 (too slow). *hold_while_slow* is
    held while the rest of a body is read that did not arrive promptly.
    """
    reject_compressed(request)
    if (length := _content_length(request)) is not None and length > most:
        raise too_large(most)
    timeout = limits.body_time.total_seconds()
    prompt = min(limits.prompt.total_seconds(), timeout)
    began = anyio.current_time()
    body = bytearray()
    with ExitStack() as holding, anyio.move_on_after(timeout):
        is_slow = False
        async for part in read_parts(request, interval=prompt):
            body += part
            if len(body) > most:
                raise too_large(most)
            if not is_slow and anyio.current_time() - began >= prompt:
                is_slow = True
                holding.enter_context(hold_while_slow())
        return bytes(body)
    raise too_slow(f"the body did not arrive within {timeout:g} s")


def reject_compressed(request: Request) -> None:
    """Raise RequestRefused (415) for a compressed body: its size says nothing about the content."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise RequestRefused(
            _UNSUPPORTED_MEDIA_TYPE, "compressed bodies (Content-Encoding) are not supported"
        )


def too_large(most: int) -> RequestRefused:
    """Build the 413."""
    return RequestRefused(_TOO_LARGE, f"the body is too large; the maximum is {most:,} bytes")


def too_slow(message: str) -> RequestRefused:
    """Build the 408."""
    return RequestRefused(_REQUEST_TIMEOUT, message)


def _content_length(request: Request) -> int | None:
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else None
