"""The operations API as an application of its own, which the console mounts at `/api/v1`."""

from typing import Final

from fastapi import APIRouter, Depends, FastAPI

from models.platform.version import version
from worker.console.api import (
    erasures,
    events,
    interventions,
    jobs,
    notices,
    partner_access,
    partner_acts,
    partners,
    search,
    system,
    tickets,
)
from worker.console.api.authentication import token_holder
from worker.console.api.bodies import check_body
from worker.console.api.docs_page import add_docs
from worker.console.api.errors import register_error_handlers
from worker.console.api.openapi import describe
from worker.console.api.token_limits import TokenLimits
from worker.console.console import Console
from worker.console.system_watch import SystemWatch

PATH: Final = "/api/v1"
ROUTES: Final[tuple[APIRouter, ...]] = (
    search.routes,
    tickets.routes,
    notices.routes,
    events.routes,
    partners.routes,
    partner_access.routes,
    partner_acts.routes,
    jobs.routes,
    erasures.routes,
    system.routes,
    interventions.routes,
)
"""Behind the token, every one."""


def build_api(console: Console, watch: SystemWatch) -> FastAPI:
    """Build the application; it shares the console's connections, threads, limits and *watch*."""
    limits = console.limits
    app = FastAPI(
        title="Slipway operations API",
        version=version(),
        description=(
            "What the console's pages and the command line do, for programs. Every act needs a"
            " reason (`why`) and an `Idempotency-Key`, and is kept with the token's name."
        ),
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
    )
    app.state.console = console
    app.state.watch = watch
    app.state.token_limits = TokenLimits(
        at_once=limits.of_token, rate=limits.token_rate, burst=limits.token_burst
    )
    register_error_handlers(app)
    for routes in ROUTES:
        app.include_router(routes, dependencies=[Depends(token_holder), Depends(check_body)])
    describe(app, ROUTES)
    add_docs(app)
    return app
