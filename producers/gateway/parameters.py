"""Parameters of paths and queries.

An id in a path may contain a slash, escaped as `%2F`, which is no separator. A query parameter that
is misspelt or repeated is rejected, as a field of a body is: `?dryRun=true` would publish what the
caller only wants to check.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from fastapi import Depends, Path, Request
from pydantic import AfterValidator
from starlette.types import ASGIApp, Receive, Scope, Send

from models.events.field_names import KnownNames
from models.platform.url_paths import keeps_escapes, path_with_escapes, unescape_segment
from producers.gateway.errors import ErrorDetail, invalid_request


class KeepEscapedSlashes:
    """ASGI middleware: escaped slashes stay escaped until the path is split."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap *app*."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Escape slashes in the path again, and pass the request on."""
        raw: bytes = scope.get("raw_path") or b""
        if scope["type"] == "http" and keeps_escapes(raw):
            scope = dict(scope) | {"path": path_with_escapes(raw)}
        await self._app(scope, receive, send)


_Id = AfterValidator(unescape_segment)

Identifier = Annotated[
    str, Path(description="The ticket's id or, where no ticket has that id, its code."), _Id
]
EventId = Annotated[str, Path(description="The event's `event_id`."), _Id]
TicketId = Annotated[str, Path(description="The ticket's id."), _Id]


def known_parameters_only(
    *names: str, many: Iterable[str] = (), elsewhere: Mapping[str, str] | None = None
) -> Any:  # noqa: ANN401 - what FastAPI's `Depends` is
    """Build the dependency of a route with these parameters; those of *many* may repeat.

    Those of *elsewhere* belong to another route, which its values name. A name that resembles none
    of them is ignored, as is usual on the web. The dependency raises RequestRefused (422).
    """
    repeatable = frozenset(many)
    known = KnownNames.of([*names, *repeatable], elsewhere=elsewhere)

    async def check(request: Request) -> None:
        names_sent = [name for name, _ in request.query_params.multi_items()]
        errors = [
            ErrorDetail(at=["query", name], message=f"unknown parameter; did you mean {meant}?")
            for name, meant in known.near_misses(dict.fromkeys(names_sent)).items()
        ]
        errors += [
            ErrorDetail(at=["query", name], message="appears twice; send it once")
            for name in names
            if names_sent.count(name) > 1
        ]
        if errors:
            raise invalid_request("the query is invalid", errors[:5])

    return Depends(check)
