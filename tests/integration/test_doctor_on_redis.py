"""`slipway doctor` on a Redis that is not as it should be: it names what is wrong, and the mend."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import make_url

from tests.support.wait import eventually
from worker.cli.examination.finding import Finding, State
from worker.cli.examination.redis_server import (
    BROKER_COMMANDS,
    STREAM_COMMANDS,
    examine_redis,
    examine_rights,
)
from worker.cli.examination.stream import examine_stream
from worker.intake.stream import GROUP, STREAM


@pytest.fixture
def settled(redis: Redis) -> Iterator[Redis]:
    """A Redis whose settings and users are as before when the test is over."""
    before: Any = redis.config_get("maxmemory*", "appendonly")
    yield redis
    for name in ("maxmemory-policy", "maxmemory", "appendonly"):
        redis.config_set(name, before[name])
    redis.acl_deluser("limited")
    eventually(lambda: not redis.info("persistence")["aof_rewrite_in_progress"])  # it ends then


def only(findings: Iterator[Finding]) -> Finding:
    """The one finding that is not fine."""
    (found,) = [one for one in findings if one.state is not State.OK]
    return found


def test_a_policy_that_throws_events_away_is_named(settled):
    settled.config_set("maxmemory-policy", "allkeys-lru")

    found = only(examine_redis(settled, part="Redis"))

    assert found.mend is not None
    assert "CONFIG SET maxmemory-policy noeviction" in found.mend


def test_a_redis_that_writes_no_log_is_named(settled):
    settled.config_set("appendonly", "no")

    found = only(examine_redis(settled, part="Redis"))

    assert found.mend is not None
    assert "CONFIG SET appendonly yes" in found.mend


def test_a_redis_that_is_nearly_full_is_doubtful(settled):
    settled.config_set("maxmemory", settled.info("memory")["used_memory"] + 200_000)

    found = only(examine_redis(settled, part="Redis"))

    assert (found.state, "raise maxmemory" in str(found.mend)) == (State.DOUBTFUL, True)


def test_a_right_that_lacks_is_named_and_looking_for_it_changes_nothing(settled, redis_url):
    settled.acl_setuser(
        "limited",
        enabled=True,
        passwords=["+pass"],
        keys=["*"],
        channels=["*"],
        commands=["+@all", "-xclaim"],
    )
    settled.xadd(STREAM, {"event": "{}"})
    before = settled.dump(STREAM)
    port = make_url(redis_url).port

    with Redis.from_url(f"redis://limited:pass@127.0.0.1:{port}/0") as limited:
        commands = (*STREAM_COMMANDS, *BROKER_COMMANDS)
        found = only(examine_rights(limited, commands, variable="SLIPWAY_REDIS_URL"))

    assert found.found == "the user in SLIPWAY_REDIS_URL may not use XCLAIM"
    assert "ACL SETUSER NAME +xclaim" in str(found.mend)
    assert (settled.dump(STREAM), settled.keys()) == (before, [STREAM.encode()])


def test_a_stream_that_nobody_ever_read_asks_for_an_intake(redis):
    redis.xadd(STREAM, {"event": "{}"})

    assert "start an intake, which makes it" in str(only(examine_stream(redis)).mend)


def test_entries_that_wait_for_minutes_are_doubtful(redis):
    old = int((datetime.now(UTC) - timedelta(minutes=5)).timestamp() * 1000)  # noqa: TID251 - Redis' clock is this machine's
    redis.xadd(STREAM, {"event": "{}"}, id=f"{old}-0")
    redis.xgroup_create(STREAM, GROUP, id="0")

    found = only(examine_stream(redis))

    assert "1 entries are not applied, the oldest for 3" in found.found


def test_a_key_of_another_kind_in_the_streams_place_is_named(redis):
    redis.lpush(STREAM, "something")

    assert "is a list, not a stream" in only(examine_stream(redis)).found
