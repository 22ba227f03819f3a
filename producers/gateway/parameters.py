"""Ids in a path: one may hold a slash, which travels as `%2F` and is no separator."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any
from urllib.parse import unquote, unquote_to_bytes

from fastapi import Depends, Path, Request
from pydantic import AfterValidator
from starlette.types import ASGIApp, Receive, Scope, Send

from models.events.field_names import KnownNames
from producers.gateway.errors import Fault, invalid

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


def only_known(
    *names: str, many: Iterable[str] = (), elsewhere: Mapping[str, str] | None = None
) -> Any:  # noqa: ANN401 - what FastAPI's `Depends` is
    """Make the dependency of a route that has these parameters; those of *many* may repeat.

    Those of *elsewhere* belong to another route, as its values say, and would be missed here. A
    name that is not nearly one of them is ignored, as everywhere on the web. Raises Refused: 422.
    """
    repeatable = frozenset(many)
    known = KnownNames.of([*names, *repeatable], elsewhere=elsewhere)

    async def checked(request: Request) -> None:
        given = [name for name, _ in request.query_params.multi_items()]
        faults = [
            Fault(at=["query", name], message=f"is not known here; did you mean {meant}?")
            for name, meant in known.near_misses(dict.fromkeys(given)).items()
        ]
        faults += [
            Fault(at=["query", name], message="appears twice; send it once")
            for name in names
            if given.count(name) > 1
        ]
        if faults:
            raise invalid("the query is refused", faults[:5])

    return Depends(checked)
