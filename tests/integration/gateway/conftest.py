"""One gateway for each module: its tests share a database and use names of their own."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from tests.support.gateway_app import GatewayApp, gateway_app_on
from tests.support.plain_settings import plain_settings
from worker.local.servers import Servers


@pytest.fixture(scope="module")
def built(servers: Servers, shared_database: str, shared_engine: Engine) -> Iterator[GatewayApp]:
    """A gateway on it."""
    settings = plain_settings(database_url=shared_database, redis_url=servers.redis_url)
    with gateway_app_on(settings, shared_engine) as made:
        yield made


@pytest.fixture
def gateway_app(built: GatewayApp) -> GatewayApp:
    """The module's gateway, with an empty stream."""
    built.redis.flushall()
    return built
