"""`slipway doctor` on a Redis that was set up otherwise: each test breaks one thing for real."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from sqlalchemy import make_url

from models.events.stream_contract import GROUP, STREAM
from tests.support.wait import eventually
from worker.doctor.finding import Finding, State
from worker.doctor.redis_limits import check_redis_limits
from worker.doctor.redis_rights import BROKER_COMMANDS, check_rights, stream_commands
from worker.doctor.redis_server import unreachable
from worker.doctor.stray_entries import (
    check_broker_entries,
    check_other_databases,
    check_passed_over,
)
from worker.local.servers.binaries import find_binaries
from worker.local.servers.data_folder import data_folder
from worker.process.stream_keys import KEYS

VARIABLE = "SLIPWAY_REDIS_URL"
COMMANDS = (*stream_commands(KEYS), *BROKER_COMMANDS)
EVENT = {"event": "{}"}


@pytest.fixture
def settled(redis: Redis) -> Iterator[Redis]:
    """A Redis whose settings and users are as before when the test is over."""
    names = ("maxclients", "timeout", "appendfsync")
    before: Any = redis.config_get(*names)
    yield redis
    for name in names:
        redis.config_set(name, before[name])
    redis.acl_deluser("limited")


def limited(redis: Redis, redis_url: str, **rights: object) -> Redis:
    """Make a user with *rights*; a client that logs in as it."""
    redis.acl_setuser("limited", enabled=True, passwords=["+pass"], **rights)  # type: ignore[arg-type]  # each has its own
    return Redis.from_url(f"redis://limited:pass@127.0.0.1:{make_url(redis_url).port}/0")


def only(findings: Iterator[Finding]) -> Finding:
    """The one finding that is not fine."""
    (finding,) = [finding for finding in findings if finding.state is not State.OK]
    return finding


def test_a_redis_as_it_should_be_gives_no_finding(settled):
    settled.xgroup_create(STREAM, GROUP, id="0", mkstream=True)

    findings = [
        *check_redis_limits(settled, part="Redis"),
        *check_passed_over(settled, stream=STREAM),
        *check_broker_entries(settled, stream=STREAM),
        *check_other_databases(settled, stream=STREAM, own="0"),
    ]

    assert findings == []


# --- limits and settings ---


def test_a_redis_that_is_nearly_out_of_clients_is_doubtful(settled):
    connected = settled.info("clients")["connected_clients"]
    settled.config_set("maxclients", connected)

    finding = only(check_redis_limits(settled, part="Redis"))

    assert f"{connected:,} clients" in finding.detail
    assert "CONFIG SET maxclients" in str(finding.remedy)


def test_a_redis_without_a_free_client_is_told_from_an_outage(settled, redis_url):
    settled.config_set("maxclients", settled.info("clients")["connected_clients"])

    with Redis.from_url(redis_url) as late, pytest.raises(RedisError) as failure:
        late.ping()
    finding = unreachable("Redis", VARIABLE, failure.value, redis_url)

    assert "max number of clients reached" in finding.detail
    assert "CONFIG SET maxclients" in str(finding.remedy)


def test_a_redis_that_closes_idle_connections_is_doubtful(settled):
    settled.config_set("timeout", 20)

    finding = only(check_redis_limits(settled, part="broker"))

    assert (finding.part, finding.state) == ("broker", State.DOUBTFUL)
    assert "idle for 20 s" in finding.detail
    assert "CONFIG SET timeout 0" in str(finding.remedy)


def test_a_log_that_is_not_flushed_is_doubtful(settled):
    settled.config_set("appendfsync", "no")

    finding = only(check_redis_limits(settled, part="Redis"))

    assert "CONFIG SET appendfsync everysec" in str(finding.remedy)
    assert [*check_redis_limits(settled, part="Redis", kept_by_provider=True)] == []


def test_a_redis_that_shows_no_settings_is_left_alone(settled, redis_url):
    settled.config_set("appendfsync", "no")
    settled.config_set("timeout", 20)

    with limited(settled, redis_url, keys=["*"], commands=["+@all", "-config"]) as client:
        assert [*check_redis_limits(client, part="Redis")] == []


# --- rights and commands ---


def test_keys_that_the_user_may_not_access_are_named(settled, redis_url):
    rights = {"keys": ["other:*"], "channels": ["*"], "commands": ["+@all"]}
    with limited(settled, redis_url, **rights) as client:
        finding = only(check_rights(client, COMMANDS, variable=VARIABLE))

    assert f"the user in {VARIABLE} may not access {STREAM}, " in finding.detail
    assert "unacked_index" in finding.detail
    assert "ACL SETUSER NAME ~* &*" in str(finding.remedy)


def test_channels_that_the_user_may_not_use_are_named(settled, redis_url):
    with limited(settled, redis_url, keys=["*"], commands=["+@all"], reset_channels=True) as client:
        finding = only(check_rights(client, COMMANDS, variable=VARIABLE))

    assert finding.detail == f"the user in {VARIABLE} may not access /0.celery.pidbox"


@pytest.fixture
def renaming(servers, tmp_path: Path) -> Iterator[Redis]:
    """A client of a server whose administrator renamed two commands; it has a socket, no port."""
    beside = servers.valkey.log_file.parent.parent
    with data_folder(None, within=beside) as home:
        socket = tmp_path / "s"
        words = [
            str(find_binaries(home).valkey),
            *("--port", "0", "--unixsocket", str(socket), "--dir", str(tmp_path), "--save", ""),
            *("--rename-command", "XCLAIM", "", "--rename-command", "EVAL", "eval-of-ops"),
        ]
        with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
            try:
                with Redis(unix_socket_path=str(socket)) as client:
                    eventually(lambda: answers(client))
                    yield client
            finally:
                process.kill()


def answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisConnectionError:
        return False


def test_commands_that_the_server_renames_are_named(renaming):
    finding = only(check_rights(renaming, COMMANDS, variable=VARIABLE))

    assert f"the server behind {VARIABLE} does not know XCLAIM, EVAL" in finding.detail
    assert "rename-command" in str(finding.remedy)


# --- entries that no intake reads ---


def test_entries_that_the_group_was_set_past_are_found_and_read_after_the_remedy(redis):
    entry = redis.xadd(STREAM, EVENT).decode()
    redis.xgroup_create(STREAM, GROUP, id="$")

    finding = only(check_passed_over(redis, stream=STREAM))
    redis.xgroup_setid(STREAM, GROUP, id="0")

    assert finding.state is State.WRONG
    assert f"has passed the entry {entry}" in finding.detail
    assert f"XGROUP SETID {STREAM} {GROUP} 0" in str(finding.remedy)
    assert [*check_passed_over(redis, stream=STREAM)] == []


def test_an_entry_that_an_intake_works_on_was_not_passed_over(redis):
    for _ in range(2):
        redis.xadd(STREAM, EVENT)
    redis.xgroup_create(STREAM, GROUP, id="0")
    redis.xreadgroup(GROUP, "intake", {STREAM: ">"}, count=1)

    assert [*check_passed_over(redis, stream=STREAM)] == []


def test_an_entry_that_another_client_acknowledged_is_found(redis):
    entry = redis.xadd(STREAM, EVENT)
    redis.xgroup_create(STREAM, GROUP, id="0")
    redis.xreadgroup(GROUP, "intake", {STREAM: ">"}, count=1)
    redis.xack(STREAM, GROUP, entry)

    assert "another client acknowledged" in only(check_passed_over(redis, stream=STREAM)).detail


def test_events_in_another_database_of_the_server_are_found(redis, redis_url):
    with Redis.from_url(f"{redis_url.rsplit('/', 1)[0]}/3") as publisher:
        publisher.xadd(STREAM, EVENT)

        finding = only(check_other_databases(redis, stream=STREAM, own="0"))
        publisher.xgroup_create(STREAM, GROUP, id="0")

        assert "1 entries of ticket-events are in database 3" in finding.detail
        assert "(/0)" in str(finding.remedy)
        assert [*check_other_databases(redis, stream=STREAM, own="0")] == []


def test_events_on_the_brokers_redis_are_found(redis):
    redis.xadd(STREAM, EVENT)

    finding = only(check_broker_entries(redis, stream=STREAM))

    assert finding.state is State.WRONG
    assert "on SLIPWAY_BROKER_URL's Redis" in finding.detail
    assert "SLIPWAY_REDIS_URL" in str(finding.remedy)
