"""While the stream takes no event, no channel accepts one, and `/readyz` reports why."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime

import httpx
import pytest
from redis import Redis

from models.events.stream_contract import STREAM
from tests.support.closed_port import closed_port
from tests.support.gateway_app import GatewayApp, event, gateway_app_on
from tests.support.lottery import bet
from tests.support.plain_settings import plain_settings
from tests.support.scripted_redis import scripted_redis
from tests.support.wait import eventually

LAST = 2**64 - 1
BOUGHT = datetime.now(UTC).isoformat()  # noqa: TID251 - the gateway's clock is the real one


@contextmanager
def occupied(redis: Redis, occupy: Callable[[Redis], object]) -> Iterator[None]:
    occupy(redis)
    before = redis.dump(STREAM)
    yield
    assert redis.dump(STREAM) == before, "nothing was published meanwhile"
    redis.delete(STREAM)


@contextmanager
def set_to(redis: Redis, name: str, value: int) -> Iterator[None]:
    before = redis.config_get(name)[name] or ""
    redis.config_set(name, value)
    try:
        yield
    finally:
        redis.config_set(name, before)


@contextmanager
def demoted(redis: Redis) -> Iterator[None]:
    redis.replicaof("127.0.0.1", str(closed_port()))
    try:
        yield
    finally:
        redis.replicaof("NO", "ONE")


Trouble = Callable[[Redis], AbstractContextManager[None]]
TROUBLES: dict[str, tuple[Trouble, str]] = {
    "string": (
        lambda redis: occupied(redis, lambda it: it.set(STREAM, "x")),
        "the key ticket-events accepts no events; run `slipway doctor` (WRONGTYPE)",
    ),
    "hash": (
        lambda redis: occupied(redis, lambda it: it.hset(STREAM, "x", "x")),
        "the key ticket-events accepts no events; run `slipway doctor` (WRONGTYPE)",
    ),
    "exhausted": (
        lambda redis: occupied(redis, lambda it: it.xadd(STREAM, {"x": "x"}, id=f"{LAST}-{LAST}")),
        "the key ticket-events accepts no events; run `slipway doctor`",
    ),
    "full": (
        lambda redis: set_to(redis, "maxmemory", 1),
        "Redis is full and accepts no events (OOM)",
    ),
    "too few replicas": (
        lambda redis: set_to(redis, "min-replicas-to-write", 1),
        "Redis accepts no writes (NOREPLICAS)",
    ),
    "replica": (demoted, "Redis accepts no writes (READONLY)"),
}


def every_channel(gateway_app: GatewayApp) -> Iterator[httpx.Response]:
    acme = gateway_app.operator()
    key = gateway_app.key(acme)
    first, second = (event(acme, ticket) for ticket in ("T-1", "T-2"))
    yield gateway_app.publish(key, first)
    yield gateway_app.publish(key, [first, second])
    yield gateway_app.publish(key, [first])
    yield gateway_app.publish_lines(key, f"{json.dumps(first)}\n{json.dumps(second)}\n")
    yield gateway_app.publish_lines(key, json.dumps(first))
    yield gateway_app.client.post(
        "/v2/integration/lottery",
        content=bet(timestamp=BOUGHT, draw_date=BOUGHT),
        headers={"X-Api-Key": key, "Content-Type": "application/json"},
    )


@pytest.mark.parametrize("trouble", TROUBLES)
def test_every_channel_refuses_and_the_gateway_is_not_ready(gateway_app, trouble):
    get_into, message = TROUBLES[trouble]
    assert gateway_app.client.get("/readyz").status_code == 200

    with get_into(gateway_app.redis):
        answers = [*every_channel(gateway_app)]
        probe = gateway_app.client.get("/readyz")

    assert [answer.status_code for answer in answers] == [503] * 6
    assert all(answer.headers["Retry-After"] == "5" for answer in answers)
    assert (probe.status_code, probe.json()["message"]) == (503, message)
    assert gateway_app.on_stream() == []
    eventually(lambda: gateway_app.client.get("/readyz").status_code == 200)
    assert [answer.status_code for answer in every_channel(gateway_app)] == [202] * 5 + [200]
    assert len(gateway_app.redis.xrange(STREAM)) == 8


def test_being_asked_leaves_the_stream_as_it_is(gateway_app):
    acme = gateway_app.operator()
    gateway_app.publish(gateway_app.key(acme), event(acme, "T"))
    before = gateway_app.redis.dump(STREAM)

    for _ in range(3):
        assert gateway_app.client.get("/readyz").status_code == 200

    assert gateway_app.redis.dump(STREAM) == before


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (b"-MOVED 866 10.0.0.7:6379", "redis+cluster:// or redis://"),
        (b"-CLUSTERDOWN Hash slot not served", "Redis does not respond (CLUSTERDOWN)"),
        (
            b"-MISCONF Redis is configured to save RDB snapshots",
            "Redis accepts no writes (MISCONF)",
        ),
        (b"-MASTERDOWN Link with MASTER is down", "Redis accepts no writes (MASTERDOWN)"),
        (b"-LOADING Redis is loading the dataset in memory", "Redis does not respond"),
        (b"-BUSY Redis is busy running a script", "Redis does not respond (BUSY)"),
        (b"-NOPERM User x has no permissions to run the 'xadd' command", "events; run `slipway"),
        (b"-NOAUTH Authentication required.", "events; run `slipway doctor`"),
    ],
)
def test_what_else_a_server_may_say_makes_it_not_ready_either(engine, database, reply, message):
    with scripted_redis({"XADD": reply + b"\r\n"}) as url:
        settings = plain_settings(database_url=database, redis_url=url)
        with gateway_app_on(settings, engine) as gateway_app:
            acme = gateway_app.operator()
            refused = gateway_app.publish(gateway_app.key(acme), event(acme, "T"))
            probe = gateway_app.client.get("/readyz")

    assert refused.status_code == probe.status_code == 503
    assert message in probe.json()["message"]
    assert "10.0.0.7" not in probe.text + refused.text
