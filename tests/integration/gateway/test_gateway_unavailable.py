"""When Redis or PostgreSQL is unavailable, full or slow: 503, Retry-After, nothing half done."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.support.closed_port import closed_port
from tests.support.gateway_app import GatewayApp, event, gateway_app_on
from tests.support.plain_settings import plain_settings
from tests.support.wait import eventually


@pytest.fixture
def unreachable() -> str:
    return f"://:hidden@127.0.0.1:{closed_port()}/0"


@contextmanager
def configured(gateway_app: GatewayApp, **settings: str | int) -> Iterator[None]:
    """Change the Redis server, which is shared with other tests, for a moment."""
    wanted = {name.replace("_", "-"): value for name, value in settings.items()}
    before = {name: gateway_app.redis.config_get(name)[name] or "" for name in wanted}
    try:
        for name, value in wanted.items():
            gateway_app.redis.config_set(name, value)
        yield
    finally:
        for name, original in before.items():
            gateway_app.redis.config_set(name, original)
        eventually(lambda: not gateway_app.redis.info("persistence")["aof_rewrite_in_progress"])


def come_again(answer: httpx.Response) -> str:
    assert (answer.status_code, answer.json()["code"]) == (503, 503)
    assert answer.headers["Retry-After"] == "5"
    assert set(answer.json()) == {"code", "message"}
    assert "hidden" not in answer.text
    message: str = answer.json()["message"]
    return message


def test_without_postgresql_nobody_is_let_in(engine, redis_url, unreachable):
    settings = plain_settings(database_url=f"postgresql{unreachable}", redis_url=redis_url)
    with gateway_app_on(settings, engine) as gateway_app:
        for answer in (
            gateway_app.publish("any", event("acme", "T")),
            gateway_app.publish_lines("any", b"{}"),
            gateway_app.ask("any", "/events"),
            gateway_app.paid("acme", "T"),
        ):
            assert come_again(answer) == "the database does not respond in time; retry later"
        assert gateway_app.on_stream() == []


def test_without_redis_events_are_told_to_come_again_and_tickets_are_served(
    engine, database, unreachable
):
    settings = plain_settings(database_url=database, redis_url=f"redis{unreachable}")
    with gateway_app_on(settings, engine) as gateway_app:
        acme = gateway_app.operator()
        key = gateway_app.key(acme)
        ticket = gateway_app.reserved(acme)
        line = json.dumps(event(acme, "T"))

        assert "does not respond" in come_again(gateway_app.publish(key, event(acme, "T")))
        assert "does not respond" in come_again(gateway_app.publish_lines(key, line))
        assert gateway_app.paid(acme, ticket).status_code == 200
        assert gateway_app.ask(key, f"/tickets/{ticket}").status_code == 200


def test_a_full_redis_takes_all_of_a_request_or_nothing(gateway_app):
    acme = gateway_app.operator()
    key = gateway_app.key(acme)
    many = [event(acme, "T", event_id=f"e{number}", note="x" * 4_000) for number in range(1_500)]
    room = gateway_app.redis.info("memory")["used_memory"] + 3_000_000

    with configured(gateway_app, maxmemory_policy="noeviction", maxmemory=room):
        assert "full" in come_again(gateway_app.publish(key, many))
        assert gateway_app.on_stream() == []

    assert gateway_app.publish(key, many).status_code == 202


def test_lines_that_find_redis_full_in_the_middle_are_told_how_far_they_came(gateway_app):
    acme = gateway_app.operator()
    key = gateway_app.key(acme)

    def lines() -> Iterator[bytes]:
        for number in range(1_000):
            yield json.dumps(event(acme, "T", event_id=f"e{number}")).encode() + b"\n"
            if number == 499:
                eventually(lambda: len(gateway_app.on_stream()) == 500)
                gateway_app.redis.config_set("maxmemory", 1)

    with configured(gateway_app, maxmemory_policy="noeviction", maxmemory=0):
        message = come_again(gateway_app.publish_lines(key, lines()))

    assert "lines 1 to 500 are processed: 500 accepted, 0 rejected; send the rest" in message
    assert len(gateway_app.on_stream()) == 500


def test_a_2xx_means_on_disk_where_that_is_asked_for(engine, database, redis_url):
    """SLIPWAY_WAITAOF: 503 while Redis does not confirm, and that what came is on the stream."""
    settings = plain_settings(database_url=database, redis_url=redis_url, waitaof=1000)
    with gateway_app_on(settings, engine) as gateway_app:
        acme = gateway_app.operator()
        key = gateway_app.key(acme)
        with configured(gateway_app, appendonly="yes", appendfsync="always"):
            assert gateway_app.publish(key, event(acme, "T")).status_code == 202
        with configured(gateway_app, appendonly="no"):
            message = come_again(gateway_app.publish(key, event(acme, "T")))
            probe = come_again(gateway_app.client.get("/readyz"))

        assert "on the stream, but not confirmed on disk" in message
        assert probe == "Redis cannot confirm events on disk, as SLIPWAY_WAITAOF requires"
        assert len(gateway_app.on_stream()) == 2
        assert gateway_app.client.get("/readyz").status_code == 200
