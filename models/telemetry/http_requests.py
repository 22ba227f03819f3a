"""Metrics of the processes that serve HTTP: requests by route and status, and their duration.

The middleware is plain ASGI, so that it does not matter which framework a process uses.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from models.telemetry.metrics import new_registry

UNMATCHED: Final = "(unmatched)"  # paths are the caller's choice; labels are not
_FAILED: Final = 500
_UNAVAILABLE: Final = 503
_ROUTE: Final = "slipway.route"
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# ASGI's own types, which every framework's agree with.
_Scope = MutableMapping[str, Any]
_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_Application = Callable[[_Scope, _Receive, _Send], Awaitable[None]]


class HttpMetrics:
    """Counts requests and times them."""

    def __init__(self, process: str, *, zeroes: Iterable[tuple[str, int]] = ()) -> None:
        """Create the metrics in a registry of their own.

        *zeroes*: series by method and status that exist before their first request. A rate needs a
        zero to start from, or the first failure or rejection would not show.
        """
        self.process: Final = process
        self.registry: CollectorRegistry = new_registry(process)
        self.requests = Counter(
            "slipway_http_requests",
            "HTTP requests answered, by process, method, route and status.",
            ["process", "method", "route", "status"],
            registry=self.registry,
        )
        for method, status in (("GET", _FAILED), ("GET", _UNAVAILABLE), *zeroes):
            self.requests.labels(process, method, UNMATCHED, str(status))
        self.duration = Histogram(
            "slipway_http_request_duration_seconds",
            "Time from a request's head to the end of its response.",
            ["process", "route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_progress = Gauge(
            "slipway_http_requests_in_progress",
            "HTTP requests without a response so far.",
            ["process"],
            registry=self.registry,
        ).labels(process)


class RequestMetrics:
    """ASGI middleware, the outermost: counts every request, including those rejected unread."""

    def __init__(self, app: _Application, *, metrics: HttpMetrics) -> None:
        """Wrap *app*."""
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Pass the request on and count its response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        matched: dict[str, Any] = {}
        scope[_ROUTE] = matched
        status = _FAILED

        async def note_status(message: _Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = time.perf_counter()
        try:
            with self._metrics.in_progress.track_inprogress():
                await self._app(scope, receive, note_status)
        finally:
            route = matched.get("route", UNMATCHED)
            method = scope["method"] if scope["method"] in _METHODS else "(other)"
            process = self._metrics.process
            self._metrics.requests.labels(process, method, route, str(status)).inc()
            if not matched.get("streams"):
                seconds = time.perf_counter() - began
                self._metrics.duration.labels(process, route).observe(seconds)


class RouteLabel:
    """ASGI middleware, the innermost: tells `RequestMetrics` which route matched."""

    def __init__(self, app: _Application) -> None:
        """Wrap *app*."""
        self._app = app

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Pass the request on, then copy the matched route to where `RequestMetrics` reads it.

        Of an application that is mounted within this one, with the path where it is mounted.
        """
        prefix: str = scope.get("root_path", "")
        try:
            await self._app(scope, receive, send)
        finally:
            route: Any = scope.get("route")
            if route is not None and _ROUTE in scope:
                mounted_at = scope.get("root_path", "").removeprefix(prefix)
                scope[_ROUTE]["route"] = mounted_at + route.path


def leave_untimed(scope: _Scope) -> None:
    """Count this request, but not its duration: its response lasts as long as somebody reads it."""
    if _ROUTE in scope:
        scope[_ROUTE]["streams"] = True
