"""The gateway as an ASGI application: `uvicorn --factory producers.gateway.app:build_app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from fastapi import FastAPI, Response
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from models.database import open_engine
from models.settings import Settings, read_settings
from producers.gateway.errors import answer_errors, refusal
from producers.gateway.readiness import Readiness

_POOL_SIZE: Final = 4
_STATEMENT_MAX: Final = timedelta(seconds=3)  # a probe that waits longer has its answer
_REDIS_SECONDS: Final = 3
_ASK_AGAIN_SECONDS: Final = 5


def build_app(settings: Settings | None = None) -> FastAPI:
    """Build the application; *settings* are read from the environment when not given.

    It connects when it is first asked something, so it starts before its servers do. Raises
    WrongSettings when the environment cannot be used.
    """
    readiness = _readiness(settings or read_settings())

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        yield
        readiness.close()

    app = FastAPI(title="Slipway", docs_url="/docs", redoc_url=None, lifespan=life)
    answer_errors(app)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """This process answers. Says nothing about the servers behind it."""
        return {"status": "alive"}

    @app.get("/readyz", response_model=None)
    def readyz() -> Response | dict[str, str]:
        """PostgreSQL and Redis answer, and the schema is new enough; else 503 and which is not."""
        faults = readiness.faults()
        if not faults:
            return {"status": "ready"}
        return refusal(503, "; ".join(faults), {"Retry-After": str(_ASK_AGAIN_SECONDS)})

    return app


def _readiness(settings: Settings) -> Readiness:
    return Readiness(
        engine=open_engine(
            settings.database_url,
            application_name="slipway gateway",
            pool_size=_POOL_SIZE,
            statement_timeout=_STATEMENT_MAX,
        ),
        redis=Redis.from_url(
            settings.redis_url,
            socket_timeout=_REDIS_SECONDS,
            socket_connect_timeout=_REDIS_SECONDS,
            retry=Retry(NoBackoff(), 1),  # a pooled connection may be from before a restart
            client_name="slipway-gateway",
        ),
    )
