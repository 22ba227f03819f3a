"""Ids in a path: one may hold a slash, which travels as `%2F` and is no separator."""

from typing import Annotated
from urllib.parse import unquote, unquote_to_bytes

from fastapi import Path
from pydantic import AfterValidator
from starlette.types import ASGIApp, Receive, Scope, Send

_ESCAPED = (b"%2f", b"%2F", b"%25")


class SlashesKept:
    """ASGI middleware: an escaped slash stays escaped until the path was taken apart."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap *app*."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on, with the path prepared where it needs to be."""
        raw: bytes = scope.get("raw_path") or b""
        if scope["type"] == "http" and any(mark in raw for mark in _ESCAPED):
            segments = [unquote_to_bytes(part) for part in raw.split(b"/")]
            path = "/".join(_kept(part.decode("utf-8", "replace")) for part in segments)
            scope = dict(scope) | {"path": path}
        await self._app(scope, receive, send)


def _kept(segment: str) -> str:
    return segment.replace("%", "%25").replace("/", "%2F")


def _read(segment: str) -> str:
    return unquote(segment) if "%" in segment else segment


_Id = AfterValidator(_read)

Identifier = Annotated[
    str, Path(description="The ticket's id or, where no ticket has that id, its code."), _Id
]
EventId = Annotated[str, Path(description="The event's `event_id`."), _Id]
TicketId = Annotated[str, Path(description="The ticket's id."), _Id]
