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
from models.settings.errors import InvalidSettings
from models.settings.settings import Settings, read_settings
from models.telemetry import logs
from models.telemetry.http_requests import RequestMetrics, RouteLabel
from producers.gateway import bet_engine, lookups, lottery, metrics, probes, publishing
from producers.gateway.concurrency import ConcurrencyLimit
from producers.gateway.errors import register_error_handlers
from producers.gateway.gateway import Gateway
from producers.gateway.limits import Limits
from producers.gateway.openapi import describe
from producers.gateway.parameters import KeepEscapedSlashes

_WRONG_SETTINGS: Final = 2
ROUTES: Final[tuple[APIRouter, ...]] = (
    probes.routes,
    metrics.routes,
    bet_engine.routes,
    lottery.routes,
    publishing.routes,
    lookups.routes,
)


def build_app(settings: Settings | None = None, limits: Limits | None = None) -> FastAPI:
    """Build the application. Without *settings* it reads the environment, as its process does.

    It connects on the first request, so it can start before its servers. A process whose
    environment is invalid, or whose database it must not use
    (`models.database.session.UnusableDatabase`), exits here.
    """
    if settings is None:
        settings = _settings_of_process()
        logs.configure(settings, sys.stderr)
        try:
            require_usable_database(settings.database_url, application_name="slipway gateway")
        except UnusableDatabase as refusal:
            raise SystemExit(f"slipway: {refusal}") from None
    gateway = Gateway.prepare(settings, limits or Limits())

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await anyio.to_thread.run_sync(gateway.stream.require_usable)
        yield
        gateway.close()

    app = FastAPIOffline(  # /docs loads nothing from the internet, which browsers may not reach
        title="Slipway",
        description="Moves betting tickets through their life.",
        docs_url="/docs",
        redoc_url=None,
        static_url="/docs/files",
        redirect_slashes=False,  # a redirect would make the client send the body twice
        lifespan=lifespan,
    )
    app.state.gateway = gateway
    app.state.routes = [route for routes in ROUTES for route in routes.routes]
    app.state.metrics = metrics.new_metrics()
    app.add_middleware(RouteLabel)
    app.add_middleware(KeepEscapedSlashes)
    app.add_middleware(ConcurrencyLimit, most=gateway.limits.requests)
    app.add_middleware(RequestMetrics, metrics=app.state.metrics)
    register_error_handlers(app)
    for routes in ROUTES:
        app.include_router(routes)
    describe(app)
    return app


def _settings_of_process() -> Settings:
    """Read the environment. Says what is wrong with it and exits, as workers do."""
    try:
        return read_settings()
    except InvalidSettings as refusal:
        sys.stderr.write(f"slipway: {refusal}\n")
    sys.exit(_WRONG_SETTINGS)
