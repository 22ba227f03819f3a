"""The gateway's probes, and the one shape of its errors."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest
import uvicorn
from sqlalchemy import text

from producers.gateway.app import build_app
from tests.support.closed_port import closed_port
from tests.support.plain_settings import plain_settings
from tests.support.web_servers import web_server

Gateway = Callable[[str, str], httpx.Client]


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with ExitStack() as endings:

        def connected(database_url: str, redis_url: str) -> httpx.Client:
            settings = plain_settings(database_url=database_url, redis_url=redis_url)
            config = uvicorn.Config(build_app(settings), port=0, ws="none", log_config=None)
            address = endings.enter_context(web_server(config))
            return endings.enter_context(httpx.Client(base_url=address, timeout=30))

        yield connected


@pytest.fixture
def nobodys_redis() -> str:
    return f"redis://:hidden@127.0.0.1:{closed_port()}/0"


@pytest.fixture
def nobodys_database() -> str:
    return f"postgresql://slipway:hidden@127.0.0.1:{closed_port()}/slipway"


def test_with_both_servers_and_the_schema_it_is_ready(gateway, database, redis_url):
    answer = gateway(database, redis_url).get("/readyz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


def test_without_its_servers_it_is_alive_and_says_what_is_unavailable(
    gateway, nobodys_database, nobodys_redis
):
    client = gateway(nobodys_database, nobodys_redis)

    assert client.get("/healthz").status_code == 200
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert answer.json() == {
        "code": 503,
        "message": "PostgreSQL does not respond; Redis does not respond",
    }


def test_without_redis_alone_it_says_so(gateway, database, nobodys_redis):
    answer = gateway(database, nobodys_redis).get("/readyz")

    assert answer.json() == {"code": 503, "message": "Redis does not respond"}


def test_without_the_schema_it_says_what_to_run(gateway, empty_database, redis_url):
    answer = gateway(empty_database, redis_url).get("/readyz")

    assert answer.status_code == 503
    assert "run `slipway migrate`" in answer.json()["message"]


def test_a_schema_newer_than_the_code_is_no_reason_to_refuse(gateway, database, engine, redis_url):
    """While a release rolls out, old processes work on the new schema."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    assert gateway(database, redis_url).get("/readyz").status_code == 200


def test_an_unknown_path_is_an_error_of_the_one_shape(gateway, database, redis_url):
    answer = gateway(database, redis_url).get("/nowhere")

    assert (answer.status_code, answer.json()) == (404, {"code": 404, "message": "Not Found"})


def test_a_wrong_method_is_an_error_of_the_one_shape(gateway, database, redis_url):
    answer = gateway(database, redis_url).post("/healthz")

    assert answer.status_code == 405
    assert answer.json()["code"] == 405
    assert "GET" in answer.headers["Allow"]


def test_the_api_page_loads_nothing_from_elsewhere(gateway, nobodys_database, nobodys_redis):
    """It is read where browsers have no internet, and while the servers are unavailable."""
    client = gateway(nobodys_database, nobodys_redis)
    page = client.get("/docs").text
    addresses = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)""", page)

    assert any(address.endswith("swagger-ui-bundle.js") for address in addresses)
    for address in addresses:
        assert address.startswith("/"), address
        assert client.get(address).status_code == 200, address
    assert "://" not in page
