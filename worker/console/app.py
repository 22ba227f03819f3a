"""The console as an ASGI application: `uvicorn --factory worker.console.app:build_app`."""

import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, FastAPI

from models.database.engine import require_usable_database
from models.database.session import UnusableDatabase
from models.settings.errors import InvalidSettings
from models.settings.settings import Settings, read_console_settings
from models.telemetry import logs
from models.telemetry.http_requests import HttpMetrics, RequestMetrics, RouteLabel
from worker.console import pages, probes, static_files
from worker.console.api.application import PATH as API_PATH
from worker.console.api.application import build_api
from worker.console.console import Console
from worker.console.errors import UnexpectedErrors, error_page, register_error_handlers
from worker.console.forms import check_origin, check_token
from worker.console.http.prefix import PublicPrefix, TrustedProxies
from worker.console.http.request_limits import RequestLimits
from worker.console.http.security_headers import SecurityHeaders
from worker.console.limits import ConsoleLimits
from worker.console.live import LiveConnections
from worker.console.pages import sign_in, sign_in_elsewhere
from worker.console.pages.sign_in_elsewhere import IdentityProvider
from worker.console.people import signed_in
from worker.console.system_watch import SystemWatch

_PUBLIC: Final[tuple[APIRouter, ...]] = (
    probes.routes,
    static_files.routes,
    sign_in.routes,
    sign_in_elsewhere.routes,
)
_FORBIDDEN: Final = 403
_WRONG_SETTINGS: Final = 2


def build_app(settings: Settings | None = None, limits: ConsoleLimits | None = None) -> FastAPI:
    """Build the application. Without *settings* it reads the environment, as its process does.

    It connects on the first request, so it can start before its servers. A process whose
    environment is invalid, or whose database it must not use
    (`models.database.session.UnusableDatabase`), exits here.
    """
    if settings is None:
        settings = _settings_of_process()
        logs.configure(settings, sys.stderr)
        try:
            require_usable_database(settings.database_url, application_name="slipway console")
        except UnusableDatabase as refusal:
            raise SystemExit(f"slipway: {refusal}") from None
        gc.freeze()  # what is loaded stays: going through it took a fifth of a second, now and then
    console = Console.prepare(settings, limits or ConsoleLimits())
    live = LiveConnections(console.limits.live, console.limits.live_of_session)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        with live.ended_by_signals():
            yield
        console.close()

    app = FastAPI(
        title="Slipway console",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.console = console
    app.state.live = live
    app.state.watch = watch = SystemWatch(settings)
    app.state.provider = IdentityProvider.of(settings)
    app.state.metrics = HttpMetrics("console", zeroes=[("POST", _FORBIDDEN)])
    for routes in _PUBLIC:
        app.include_router(routes)
    app.state.paths = set()
    for routes in pages.ROUTES:
        add_pages(app, routes)
    app.mount(API_PATH, build_api(console, watch))
    register_error_handlers(app)
    _surround(app, console)
    return app


def _settings_of_process() -> Settings:
    """Read the environment. Says what is wrong with it and exits, as workers do."""
    try:
        settings = read_console_settings()
        IdentityProvider.of(settings)  # reads the files that the settings name
    except InvalidSettings as refusal:
        sys.stderr.write(f"slipway: {refusal}\n")
        sys.exit(_WRONG_SETTINGS)
    return settings


def add_pages(app: FastAPI, routes: APIRouter) -> None:
    """Add pages behind the sign-in, even one that forgot to say who may see it."""
    guarded = [Depends(check_origin), Depends(signed_in), Depends(check_token)]
    app.include_router(routes, dependencies=guarded)
    app.state.paths |= {path for route in routes.routes if (path := getattr(route, "path", None))}


def _surround(app: FastAPI, console: Console) -> None:
    """Add the middleware; the last one added is the outermost."""
    address = urlsplit(console.settings.console_url or "")
    app.add_middleware(RouteLabel)
    app.add_middleware(RequestLimits, limits=console.limits, error_page=error_page)
    app.add_middleware(UnexpectedErrors)
    app.add_middleware(PublicPrefix, prefix=address.path)
    app.add_middleware(SecurityHeaders, https=address.scheme == "https")
    app.add_middleware(TrustedProxies, networks=console.settings.console_proxy_networks)
    app.add_middleware(RequestMetrics, metrics=app.state.metrics)
