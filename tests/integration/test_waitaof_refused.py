"""SLIPWAY_WAITAOF on a Redis that cannot confirm is refused before the first event, with why."""

import json
from collections.abc import Iterator

import anyio
import pytest
from cryptography.fernet import Fernet
from redis import Redis

from models.settings.errors import InvalidSettings
from producers.gateway.app import build_app
from producers.publisher import DiskUnconfirmable, NotOnDisk, Publisher
from tests.support.command_line import CommandLine
from tests.support.free_port import free_port
from tests.support.gateway_app import event, gateway_app_on
from tests.support.guarded_server import Guarded, guarded_server
from tests.support.plain_settings import plain_settings

WIN = {"action": "ticket_win", "data": {"operator": "acme", "ticket_id": "T"}}
# What is wrong: settings of the server, or a right its user lacks, and how Redis reports it.
CANNOT: dict[str, tuple[dict[str, str], str]] = {
    "before Redis 7.2": ({"rename_command": 'WAITAOF ""'}, "unknown command 'WAITAOF'"),
    "without a log": ({"appendonly": "no"}, "appendonly is disabled"),
}


@pytest.fixture(scope="module", params=CANNOT)
def cannot(request, tmp_path_factory) -> Iterator[tuple[Guarded, str]]:
    """A server that cannot confirm, and its message."""
    settings, message = CANNOT[request.param]
    with guarded_server(tmp_path_factory.mktemp("server"), **settings) as server:
        yield server, message


@pytest.fixture
def stream(cannot: tuple[Guarded, str]) -> Iterator[Redis]:
    with cannot[0].as_("default") as admin:
        admin.flushall()
        yield admin


def test_the_publisher_sends_nothing_and_says_so(cannot, stream):
    server, message = cannot
    publisher = Publisher.at(server.url("slipway-backend"), waitaof_ms=100)

    with pytest.raises(DiskUnconfirmable, match=message) as refusal:
        publisher.publish_many([WIN, WIN])
    publisher.close()

    assert "SLIPWAY_WAITAOF=off" in str(refusal.value)
    assert len(refusal.value.unpublished) == 2
    assert stream.xlen("ticket-events") == 0


def test_slipway_publish_stops_before_the_first_line(cannot, stream, database, monkeypatch, capsys):
    server, message = cannot
    slipway = CommandLine(monkeypatch, capsys)
    key = Fernet.generate_key().decode()
    slipway.export(
        database_url=database,
        redis_url=server.url("slipway-backend"),
        secret_key=key,
        waitaof="100",
    )

    ended = slipway("publish", "-", stdin=json.dumps(WIN).encode())

    assert ended.code == 2
    assert message in ended.err
    assert "SLIPWAY_WAITAOF=off" in ended.err
    assert "On the stream: 0 events" in ended.err
    assert stream.xlen("ticket-events") == 0


def test_the_gateway_does_not_start(cannot, stream, database):
    server, message = cannot
    settings = plain_settings(
        database_url=database, redis_url=server.url("slipway-backend"), waitaof=100
    )

    app = build_app(settings)

    async def start() -> None:
        async with app.router.lifespan_context(app):
            pass

    with pytest.raises(InvalidSettings, match=f"does not support SLIPWAY_WAITAOF .*{message}"):
        anyio.run(start)


def test_without_the_setting_neither_of_them_minds(cannot, stream, database, engine):
    server, _ = cannot
    settings = plain_settings(database_url=database, redis_url=server.url("slipway-backend"))

    with gateway_app_on(settings, engine) as gateway_app:
        acme = gateway_app.operator()

        assert gateway_app.client.get("/readyz").status_code == 200
        assert gateway_app.publish(gateway_app.key(acme), event(acme, "T")).status_code == 202
    assert stream.xlen("ticket-events") == 1


def test_a_gateway_that_started_without_redis_refuses_at_the_first_event(
    tmp_path, database, engine
):
    """It could not ask at its start. Nothing is published then, and that is said."""
    port = free_port()
    settings = plain_settings(
        database_url=database,
        redis_url=f"redis://slipway-backend:slipway-backend@127.0.0.1:{port}/0",
        waitaof=100,
    )
    with gateway_app_on(settings, engine) as gateway_app:
        acme = gateway_app.operator()
        assert gateway_app.client.get("/readyz").json()["message"] == "Redis does not respond"
        with guarded_server(tmp_path, port=str(port), appendonly="no") as server:
            refused = gateway_app.publish(gateway_app.key(acme), event(acme, "T"))
            probe = gateway_app.client.get("/readyz")
            with server.as_("default") as admin:
                assert admin.xlen("ticket-events") == 0
                admin.config_set("appendonly", "yes")
                admin.config_set("appendfsync", "always")
            taken = gateway_app.publish(gateway_app.key(acme), event(acme, "T"))

    assert refused.status_code == probe.status_code == 503
    assert "nothing was published: the stream cannot confirm on disk" in refused.json()["message"]
    assert "as SLIPWAY_WAITAOF requires" in probe.json()["message"]
    assert taken.status_code == 202


def test_a_user_without_the_right_to_it_is_refused_too(redis, redis_url):
    redis.acl_setuser(
        "unsure", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-waitaof"]
    )
    try:
        url = redis_url.replace("//default:", "//unsure:", 1)
        publisher = Publisher.at(url, waitaof_ms=100)
        with pytest.raises(DiskUnconfirmable, match="no permissions to run the 'waitaof' command"):
            publisher.publish(WIN)
        publisher.close()
    finally:
        redis.acl_deluser("unsure")

    assert redis.xlen("ticket-events") == 0


def test_what_fails_later_is_on_the_stream_and_that_is_said(tmp_path):
    """A failover to a server without a log, after the check went well."""
    with guarded_server(tmp_path, appendfsync="always") as server, server.as_("default") as admin:
        publisher = Publisher.at(server.url("slipway-backend"), waitaof_ms=1000)
        publisher.publish(WIN)
        admin.config_set("appendonly", "no")

        with pytest.raises(NotOnDisk, match="on the stream, but Redis did not confirm") as refusal:
            publisher.publish(WIN)
        publisher.close()

        assert "appendonly is disabled" in str(refusal.value)
        assert admin.xlen("ticket-events") == 2
