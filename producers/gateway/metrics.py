"""The gateway's metrics: HTTP requests by route and status, and how long they took."""

import time
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models.telemetry.metrics import new_registry

PATH: Final = "/metrics"
UNMATCHED: Final = "(unmatched)"  # paths are the caller's choice; labels are not
_FAILED: Final = 500
_UNAVAILABLE: Final = 503
_UNAUTHORIZED: Final = 401
_ROUTE: Final = "slipway.route"
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

routes = APIRouter()


@routes.get(PATH, include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Serve the metrics to Prometheus; the ingress does not lead here."""
    gateway_metrics: GatewayMetrics = request.app.state.metrics
    return Response(generate_latest(gateway_metrics.registry), media_type=CONTENT_TYPE_LATEST)


class GatewayMetrics:
    """Counts requests and times them."""

    def __init__(self) -> None:
        """Create the metrics in a registry of their own."""
        self.registry: CollectorRegistry = new_registry("gateway")
        self.requests = Counter(
            "slipway_http_requests",
            "HTTP requests answered, by method, route and status.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        # A rate needs a zero to start from, or the first failure or rejection would not show.
        for method, status in (("GET", _FAILED), ("GET", _UNAVAILABLE), ("POST", _UNAUTHORIZED)):
            self.requests.labels(method, UNMATCHED, str(status))
        self.duration = Histogram(
            "slipway_http_request_duration_seconds",
            "Time from a request's head to the end of its response.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_progress = Gauge(
            "slipway_http_requests_in_progress",
            "HTTP requests without a response so far.",
            registry=self.registry,
        )


class RequestMetrics:
    """ASGI middleware, the outermost: counts every request, including those rejected unread."""

    def __init__(self, app: ASGIApp, *, metrics: GatewayMetrics) -> None:
        """Wrap *app*."""
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and count its response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        matched: dict[str, str] = {}
        scope[_ROUTE] = matched
        status = _FAILED

        async def note_status(message: Message) -> None:
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
            self._metrics.requests.labels(method, route, str(status)).inc()
            self._metrics.duration.labels(route).observe(time.perf_counter() - began)


class RouteLabel:
    """ASGI middleware, the innermost: tells `RequestMetrics` which route matched."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap *app*."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, then copy the matched route to where `RequestMetrics` reads it."""
        try:
            await self._app(scope, receive, send)
        finally:
            route: Any = scope.get("route")
            if route is not None and _ROUTE in scope:
                scope[_ROUTE]["route"] = route.path
