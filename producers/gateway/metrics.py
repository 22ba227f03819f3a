"""What the gateway tells Prometheus: its answers, by route and status, and how long they took."""

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
_AWAY: Final = 503
_UNKNOWN: Final = 401
_ROUTE: Final = "slipway.route"
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

routes = APIRouter()


@routes.get(PATH, include_in_schema=False)
async def metrics(request: Request) -> Response:
    """What is counted here, for Prometheus; not reached through the ingress."""
    counted: GatewayMetrics = request.app.state.metrics
    return Response(generate_latest(counted.registry), media_type=CONTENT_TYPE_LATEST)


class GatewayMetrics:
    """Counts answers."""

    def __init__(self) -> None:
        """Make a registry of its own."""
        self.registry: CollectorRegistry = new_registry("gateway")
        self.answers = Counter(
            "slipway_http_answers",
            "Answers of the gateway, by method, route and status.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        # The first failure, or refusal, must be a rise, and not a beginning.
        for method, status in (("GET", _FAILED), ("GET", _AWAY), ("POST", _UNKNOWN)):
            self.answers.labels(method, UNMATCHED, str(status))
        self.seconds = Histogram(
            "slipway_http_seconds",
            "Time from a request's head to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.under_way = Gauge(
            "slipway_http_under_way", "Requests that have no answer yet.", registry=self.registry
        )


class RequestMetrics:
    """ASGI middleware, the outermost: counts every answer, also where nothing was looked at."""

    def __init__(self, app: ASGIApp, *, metrics: GatewayMetrics) -> None:
        """Wrap *app*."""
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on, and count what is answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        found: dict[str, str] = {}
        scope[_ROUTE] = found
        status = _FAILED

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = time.perf_counter()
        try:
            with self._metrics.under_way.track_inprogress():
                await self._app(scope, receive, noting)
        finally:
            route = found.get("route", UNMATCHED)
            method = scope["method"] if scope["method"] in _METHODS else "(other)"
            self._metrics.answers.labels(method, route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - began)


class RouteNoted:
    """ASGI middleware, the innermost: tells `RequestMetrics` which route took the request."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap *app*."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on; what the router found stands in the scope from then on."""
        try:
            await self._app(scope, receive, send)
        finally:
            route: Any = scope.get("route")
            if route is not None and _ROUTE in scope:
                scope[_ROUTE]["route"] = route.path
