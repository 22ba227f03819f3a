"""Refuses what is too large or too much, before anything is read or done."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from http import HTTPStatus
from typing import Final

import anyio
from fastapi import Request
from fastapi.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker.console.http.places import Places, RequestPlace
from worker.console.limits import ConsoleLimits
from worker.console.refusals import PageRefused, invalid, too_large

FORMS_OF_ANYBODY: Final = ("/sign-in", "/sign-out")
"""Read before it is known who sends them."""

_UNLIMITED_PATHS: Final = ("/healthz", "/metrics", "/readyz")
_LIVE: Final = "/live"  # the end of a live page's second path; those have their own limits
_API: Final = "/api/"  # where a ticket may be called `live`
_FORM: Final = "application/x-www-form-urlencoded"
_JSON: Final = "application/json"


class RequestLimits:
    """ASGI middleware: limits of number, query and body."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: ConsoleLimits,
        error_page: Callable[[Request, PageRefused], Response],
    ) -> None:
        """Wrap *app*."""
        self._app = app
        self._limits = limits
        self._error_page = error_page
        self._places = Places(limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        with ExitStack() as holding:
            try:
                _check_query(scope, self._limits)
                place = holding.enter_context(self._place(scope))
                limited = self._limited(request, receive, place)
            except PageRefused as refusal:
                await self._error_page(request, refusal)(scope, receive, send)
                return
            await self._app(scope, limited, send)

    def _place(self, scope: Scope) -> AbstractContextManager[RequestPlace]:
        path = scope["path"].removeprefix(scope["root_path"])
        if path in _UNLIMITED_PATHS or _is_live(path):
            return self._places.unlimited(scope)
        if path in FORMS_OF_ANYBODY and scope["method"] == "POST":
            return self._places.anybody_s_form(scope)
        return self._places.request(scope)

    def _limited(self, request: Request, receive: Receive, place: RequestPlace) -> Receive:
        """Return a `receive` that raises PageRefused for a body that is too large or too slow."""
        most, size = self._limits.body_bytes, 0
        message = f"A form may have at most {most:,} bytes. Nothing was done."
        length = request.headers.get("content-length", "")
        if length.isascii() and length.isdigit() and int(length) > most:
            raise too_large(message)
        kind = request.headers.get("content-type", _FORM).partition(";")[0].strip().lower()
        if request.method == "POST" and kind not in {_FORM, _JSON}:
            raise PageRefused(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "Not supported",
                "A form is sent as application/x-www-form-urlencoded. Nothing was done.",
            )
        began = anyio.current_time()
        deadline = began + self._limits.body_time.total_seconds()
        complete = False

        async def limited() -> Message:
            nonlocal size, complete
            if complete:  # what comes now is the end of the connection, however late
                return await receive()
            with anyio.move_on_at(deadline) as waiting:
                known = place.sender_known
                part = await (
                    receive()
                    if known
                    else self._places.unknown_body(receive, place=place, began=began)
                )
            if waiting.cancelled_caught:
                raise PageRefused(
                    HTTPStatus.REQUEST_TIMEOUT,
                    "Too slow",
                    "The form did not arrive in time. Nothing was done; send it again.",
                )
            size += len(part.get("body", b""))
            if size > (most if known else self._limits.unknown_body_bytes):
                raise too_large(message)
            complete = not part.get("more_body", False)
            return part

        return limited


def _is_live(path: str) -> bool:
    return path.endswith(_LIVE) and not path.startswith(_API)


def _check_query(scope: Scope, limits: ConsoleLimits) -> None:
    query: bytes = scope["query_string"]
    if len(query) > limits.query_characters:
        raise too_large(
            f"The address has a query of {len(query):,} characters; the most is"
            f" {limits.query_characters:,}. Nothing was searched: shorten the filter."
        )
    if b"%00" in query or b"%00" in (scope.get("raw_path") or b""):
        raise invalid("The address holds a NUL character (%00), which no id and no text has.")
