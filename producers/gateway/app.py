"""The gateway as an ASGI application: `uvicorn --factory producers.gateway.app:build_app`."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio.to_thread
from fastapi import APIRouter, FastAPI
from fastapi_offline import FastAPIOffline

from models.database.engine import require_usable_database
from models.database.session import UnusableDatabase
from models.settings.settings import Settings, read_settings
from models.telemetry import logs
from producers.gateway import bet_engine, lottery, metrics, probes, publishing
from producers.gateway import lookups as asking
from producers.gateway.concurrency import ConcurrencyLimit
from producers.gateway.errors import answer_errors
from producers.gateway.gateway import Gateway
from producers.gateway.limits import Limits
from producers.gateway.metrics import GatewayMetrics, RequestMetrics, RouteNoted
from producers.gateway.openapi import described
from producers.gateway.parameters import SlashesKept

ROUTES: Final[tuple[APIRouter, ...]] = (
    probes.routes,
    metrics.routes,
    bet_engine.routes,
    lottery.routes,
    publishing.routes,
    asking.routes,
)


def build_app(settings: Settings | None = None, limits: Limits | None = None) -> FastAPI:
    """Build the application. Without *settings* it is a process' own: it reads the environment.

    It connects when it is first asked something, so it starts before its servers do. Raises
    WrongSettings when the environment cannot be used, and ends a process of its own whose
    database it must not work with (`models.database.session.UnusableDatabase`).
    """
    if settings is None:
        settings = read_settings()
        logs.configure(settings, sys.stderr)
        try:
            require_usable_database(settings.database_url, application_name="slipway gateway")
        except UnusableDatabase as refusal:
            raise SystemExit(f"slipway: {refusal}") from None
    gateway = Gateway.prepare(settings, limits or Limits())

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        await anyio.to_thread.run_sync(gateway.stream.require_disk)
        yield
        gateway.close()

    app = FastAPIOffline(  # its page needs no other server: browsers of ours may have no internet
        title="Slipway",
        description="Moves betting tickets through their life.",
        docs_url="/docs",
        redoc_url=None,
        static_url="/docs/files",
        redirect_slashes=False,  # a redirected body would have to be sent twice
        lifespan=life,
    )
    app.state.gateway = gateway
    app.state.routes = [route for routes in ROUTES for route in routes.routes]
    app.state.metrics = GatewayMetrics()
    app.add_middleware(RouteNoted)
    app.add_middleware(SlashesKept)
    app.add_middleware(ConcurrencyLimit, most=gateway.limits.requests)
    app.add_middleware(RequestMetrics, metrics=app.state.metrics)
    answer_errors(app)
    for routes in ROUTES:
        app.include_router(routes)
    described(app)
    return app
