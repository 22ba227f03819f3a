"""`slipway doctor` on a Redis that is not as it should be: what is wrong, and the remedy."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import make_url

from models.events.stream_contract import GROUP, STREAM
from tests.support.closed_port import closed_port
from tests.support.plain_settings import plain_settings
from tests.support.wait import eventually
from worker.doctor.checks import check_installation
from worker.doctor.finding import Finding, State
from worker.doctor.publishing import PUBLISHING, check_publishing
from worker.doctor.redis_rights import BROKER_COMMANDS, check_rights, stream_commands
from worker.doctor.redis_server import (
    BROKER_KEYS,
    check_keys,
    check_redis,
    check_stream,
    check_stream_life,
    stream_types,
)
from worker.process.stream_keys import KEYS

LAST = 2**64 - 1  # of either part of an id


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
    (finding,) = [finding for finding in findings if finding.state is not State.OK]
    return finding


def test_a_policy_that_throws_events_away_is_named(settled):
    settled.config_set("maxmemory-policy", "allkeys-lru")

    finding = only(check_redis(settled, part="Redis"))

    assert finding.remedy is not None
    assert "CONFIG SET maxmemory-policy noeviction" in finding.remedy


def test_a_managed_redis_that_shows_no_log_is_trusted_where_a_setting_says_so(settled):
    settled.config_set("appendonly", "no")

    findings = [*check_redis(settled, part="Redis", kept_by_provider=True)]

    assert [finding.state for finding in findings] == [State.OK, State.OK]
    assert "SLIPWAY_REDIS_DURABILITY" in findings[-1].detail


def test_a_redis_that_writes_no_log_is_named(settled):
    settled.config_set("appendonly", "no")

    finding = only(check_redis(settled, part="Redis"))

    assert finding.remedy is not None
    assert "CONFIG SET appendonly yes" in finding.remedy


def test_a_redis_that_is_nearly_full_is_doubtful(settled):
    settled.config_set("maxmemory", settled.info("memory")["used_memory"] + 200_000)

    finding = only(check_redis(settled, part="Redis"))

    assert (finding.state, "raise maxmemory" in str(finding.remedy)) == (State.DOUBTFUL, True)


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
        commands = (*stream_commands(KEYS), *BROKER_COMMANDS)
        finding = only(check_rights(limited, commands, variable="SLIPWAY_REDIS_URL"))

    assert finding.detail == "the user in SLIPWAY_REDIS_URL may not use XCLAIM"
    assert "ACL SETUSER NAME +xclaim" in str(finding.remedy)
    assert (settled.dump(STREAM), settled.keys()) == (before, [STREAM.encode()])


def test_a_stream_that_nobody_ever_read_asks_for_an_intake(redis):
    redis.xadd(STREAM, {"event": "{}"})

    assert "start an intake, which creates it" in str(only(check_stream(redis)).remedy)


def test_entries_that_wait_for_minutes_are_doubtful(redis):
    old = int((datetime.now(UTC) - timedelta(minutes=5)).timestamp() * 1000)  # noqa: TID251 - Redis' clock is this machine's
    redis.xadd(STREAM, {"event": "{}"}, id=f"{old}-0")
    redis.xgroup_create(STREAM, GROUP, id="0")

    finding = only(check_stream(redis))

    assert "1 entries are not applied, the oldest for 3" in finding.detail


def test_a_key_of_another_kind_in_the_streams_place_is_named(redis):
    redis.lpush(STREAM, "something")

    assert "is a list, not a stream" in only(check_stream(redis)).detail


# --- would an event be taken? ---


def test_a_redis_that_would_take_an_event_is_well_and_holds_none_afterwards(redis):
    redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)

    findings = [*check_publishing(redis, waitaof_ms=None), *check_stream_life(redis)]

    assert [finding.state for finding in findings] == [State.OK]
    assert redis.xlen(STREAM) == 0


@pytest.mark.parametrize(
    ("trouble", "detail", "remedy"),
    [
        (lambda it: it.set(STREAM, "x"), "WRONGTYPE", "SlipwayPublishingRefused"),
        (lambda it: it.xadd(STREAM, {"e": "x"}, id=f"{LAST}-{LAST}"), "exhausted", "how to repair"),
        (lambda it: it.config_set("maxmemory", 1), "OOM", "raise maxmemory"),
    ],
)
def test_why_an_event_would_be_refused_is_quoted(settled, trouble, detail, remedy):
    trouble(settled)

    finding = only(check_publishing(settled, waitaof_ms=None))

    assert finding.state is State.WRONG
    assert detail in finding.detail
    assert remedy in str(finding.remedy)


def test_a_replica_given_by_mistake_is_named_with_its_primary(redis, redis_url, database):
    """In `SLIPWAY_REDIS_URL`: publishers, intakes and wakeups all need the primary."""
    now = datetime.now(UTC)  # noqa: TID251 - certificates are valid by it
    settings = plain_settings(redis_url=redis_url, database_url=database)
    primary = closed_port()
    redis.replicaof("127.0.0.1", str(primary))
    try:
        findings = [*check_installation(settings, now=now)]
    finally:
        redis.replicaof("NO", "ONE")

    (named,) = [each for each in findings if "replica" in each.detail and each.part == "Redis"]
    assert named.state is State.WRONG
    assert f"it is a replica of 127.0.0.1:{primary}" in named.detail
    assert "point the URL to the primary" in str(named.remedy)
    assert State.WRONG in {each.state for each in findings if each.part == PUBLISHING}


def test_too_few_replicas_are_named(redis):
    redis.config_set("min-replicas-to-write", 1)
    try:
        finding = only(check_publishing(redis, waitaof_ms=None))
    finally:
        redis.config_set("min-replicas-to-write", 0)

    assert "NOREPLICAS" in finding.detail
    assert "bring back its replicas" in str(finding.remedy)


def test_waitaof_that_redis_cannot_keep_is_named_where_it_is_set(settled):
    settled.config_set("appendonly", "no")

    finding = only(check_publishing(settled, waitaof_ms=100))
    without = [*check_publishing(settled, waitaof_ms=None)]

    assert "appendonly is disabled" in finding.detail
    assert "SLIPWAY_WAITAOF" in str(finding.remedy)
    assert [finding.state for finding in without] == [State.OK]


def test_a_stream_that_is_nearly_out_of_ids_is_doubtful(redis):
    redis.xadd(STREAM, {"event": "{}"}, id=f"{LAST}-{LAST - 1_000}")

    finding = only(check_stream_life(redis))

    assert finding.state is State.DOUBTFUL
    assert "1,000 ids are left" in finding.detail


def test_keys_of_another_type_are_named_with_both_types(redis):
    redis.set("ticket-events:moments", "x")
    redis.hset("tickets\x06\x163", "x", "x")
    redis.lpush("deliver", "x")

    finding = only(check_keys(redis, {**stream_types(KEYS), **BROKER_KEYS}))

    assert "ticket-events:moments is a string, not a zset" in finding.detail
    assert r"tickets\x06\x163 is a hash, not a list" in finding.detail
    assert "deliver" not in finding.detail


def test_a_stream_that_expires_is_named(redis):
    redis.xadd(STREAM, {"event": "{}"})
    redis.expire(STREAM, 3_600)

    finding = only(check_stream_life(redis))

    assert finding.state is State.WRONG
    assert "expires in 3," in finding.detail
    assert f"PERSIST {STREAM}" in str(finding.remedy)
