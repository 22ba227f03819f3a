"""Reading a request's body with a limit on its size and on its time, counted while it arrives."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Final

import anyio
from fastapi import Request
from starlette.requests import ClientDisconnect

from producers.gateway.errors import Refused
from producers.gateway.limits import Limits

_TOO_SLOW: Final = 408
_TOO_LARGE: Final = 413
_WRONG_KIND: Final = 415


async def pieces(request: Request, *, beat: float) -> AsyncIterator[bytes]:
    """The body as it arrives; an empty piece for each *beat* seconds in which nothing came.

    Raises ClientDisconnect when the connection ends before the body does.
    """
    more = True
    while more:
        with anyio.move_on_after(beat) as waiting:
            message = await request.receive()
        if waiting.cancelled_caught:
            yield b""
            continue
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        if piece := message.get("body", b""):
            yield piece


async def read_body(
    request: Request,
    limits: Limits,
    *,
    most: int,
    when_slow: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> bytes:
    """The whole body of at most *most* bytes. Raises Refused: 413, 415 (packed), 408 (too slow).

    *when_slow*: what is held while a body is read that did not come promptly.
    """
    refuse_packed(request)
    if (length := _announced(request)) is not None and length > most:
        raise too_large(most)
    patience = limits.body_time.total_seconds()
    prompt = min(limits.prompt.total_seconds(), patience)
    began = anyio.current_time()
    body = bytearray()
    with ExitStack() as holding, anyio.move_on_after(patience):
        is_slow = False
        async for piece in pieces(request, beat=prompt):
            body += piece
            if len(body) > most:
                raise too_large(most)
            if not is_slow and anyio.current_time() - began >= prompt:
                is_slow = True
                holding.enter_context(when_slow())
        return bytes(body)
    raise too_slow(f"the body was not complete within {patience:g} s")


def refuse_packed(request: Request) -> None:
    """Raise Refused (415) for a compressed body: its size would say nothing about its content."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Refused(_WRONG_KIND, "the body must not be compressed (Content-Encoding)")


def too_large(most: int) -> Refused:
    """Make the 413."""
    return Refused(_TOO_LARGE, f"the body may have at most {most:,} bytes")


def too_slow(message: str) -> Refused:
    """Make the 408."""
    return Refused(_TOO_SLOW, message)


def _announced(request: Request) -> int | None:
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else None
