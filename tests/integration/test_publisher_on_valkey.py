"""The publisher against a server that is full, read-only, unavailable or short of disk."""

import json
import logging
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis import Redis

from producers.publisher import (
    NotOnDisk,
    OutgoingEvent,
    Publisher,
    RedisFull,
    RedisReadOnly,
    RedisUnavailable,
    SetupRefused,
    event,
)
from tests.support.wait import eventually

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def wins(count: int, *, note: str = "") -> list[OutgoingEvent]:
    return [
        event(
            "ticket_win", {"operator": "acme", "ticket_id": str(n), "note": note}, occurred_at=NOON
        )
        for n in range(count)
    ]


def ids(events) -> list[str]:
    return [event["event_id"] for event in events]


def on_stream(redis) -> list[str]:
    """The event ids in the order of the stream."""
    return ids(json.loads(fields[b"event"]) for _, fields in redis.xrange("ticket-events"))


@contextmanager
def configured(redis: Redis, **settings: str | int) -> Iterator[None]:
    """Change the server for a moment; it is shared with other tests.

    Ends when it has rewritten the file that `appendonly` begins with: it won't stop before that.
    """
    wanted = {name.replace("_", "-"): value for name, value in settings.items()}
    before = {name: redis.config_get(name)[name] or "" for name in wanted}
    try:
        for name, value in wanted.items():
            redis.config_set(name, value)
        yield
    finally:
        for name, original in before.items():
            redis.config_set(name, original)
        eventually(lambda: not redis.info("persistence")["aof_rewrite_in_progress"])


@pytest.fixture
def publisher(redis):
    return Publisher(redis, tries_max=2)


def test_published_events_are_on_the_stream_in_order(redis, publisher):
    events = wins(1_200)

    entry_ids = publisher.publish_many(events)

    assert on_stream(redis) == ids(events)
    assert entry_ids == [entry_id.decode() for entry_id, _ in redis.xrange("ticket-events")]


def test_a_full_redis_takes_the_first_groups_and_says_which(redis, publisher):
    """Never a later event without the earlier one."""
    events = wins(2_000, note="x" * 4_000)
    room = redis.info("memory")["used_memory"] + 6_000_000
    with (
        configured(redis, maxmemory_policy="noeviction", maxmemory=room),
        pytest.raises(RedisFull, match="free memory") as full,
    ):
        publisher.publish_many(events)

    taken = on_stream(redis)
    assert 0 < len(taken) < 2_000
    assert taken == ids(events[: len(taken)])
    assert len(full.value.entry_ids) == len(taken)
    publisher.publish_many(full.value.unpublished)
    assert on_stream(redis) == ids(events)


def test_a_redis_that_makes_room_in_time_is_no_error(redis):
    class MakeRoom(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.msg == "publish_failed":
                redis.config_set("maxmemory", 0)

    log = logging.getLogger("producers.publisher.stream")
    handler = MakeRoom()
    log.addHandler(handler)
    events = wins(3)
    try:
        with configured(redis, maxmemory_policy="noeviction", maxmemory=1):
            Publisher(redis).publish_many(events)
    finally:
        log.removeHandler(handler)

    assert on_stream(redis) == ids(events)


def test_a_replica_takes_nothing_and_says_so(redis, publisher):
    redis.replicaof("127.0.0.1", 1)
    try:
        with pytest.raises(RedisReadOnly, match="failover") as refusal:
            publisher.publish_many(wins(3))
    finally:
        redis.replicaof("NO", "ONE")

    publisher.publish_many(refusal.value.unpublished)
    assert on_stream(redis) == ids(refusal.value.unpublished)


def test_a_lost_connection_costs_nothing(redis, redis_url):
    events = wins(2)
    with Redis.from_url(redis_url) as client:
        client.ping()
        redis.client_kill_filter(_id=client.client_id())

        Publisher(client).publish_many(events)

    assert on_stream(redis) == ids(events)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that is taken and refuses connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_a_redis_that_is_unavailable_is_named_with_all_events_kept(silent_port):
    publisher = Publisher.at(f"redis://:very-secret@127.0.0.1:{silent_port}/0")
    events = wins(2)

    with pytest.raises(RedisUnavailable, match="once it does") as unavailable:
        publisher.publish_many(events)

    publisher.close()
    assert unavailable.value.entry_ids == ()
    assert ids(unavailable.value.unpublished) == ids(events)
    assert "very-secret" not in str(unavailable.value)


def test_confirmed_on_disk_or_told_that_it_is_not(redis):
    """WAITAOF: SLIPWAY_WAITAOF."""
    publisher = Publisher(redis, waitaof_ms=2_000)
    hasty = Publisher(redis, waitaof_ms=1)
    with configured(redis, appendonly="yes"):
        with configured(redis, appendfsync="always"):
            publisher.publish_many(wins(3))
        with configured(redis, appendfsync="no"), pytest.raises(NotOnDisk) as not_on_disk:
            hasty.publish_many(wins(2))
        kept = on_stream(redis)

    assert len(kept) == 5
    assert not_on_disk.value.entry_ids == ()
    assert ids(not_on_disk.value.unpublished) == kept[3:]


def test_a_server_without_a_disk_cannot_confirm(redis):
    with (
        configured(redis, appendonly="no"),
        pytest.raises(SetupRefused, match="appendonly is disabled"),
    ):
        Publisher(redis, waitaof_ms=100).publish_many(wins(1))


@pytest.fixture
def backend(redis, redis_url) -> Iterator[Redis]:
    """A client of a user that may add to the stream and nothing else."""
    redis.acl_setuser(
        "backend",
        enabled=True,
        passwords=["+tell"],
        keys=["ticket-events"],
        commands=["-@all", "+@connection", "+xadd", "+multi", "+exec", "+waitaof"],
    )
    server = urlsplit(redis_url)
    with Redis(
        host=server.hostname or "", port=server.port or 0, username="backend", password="tell"
    ) as client:
        yield client
    redis.acl_deluser("backend")


def test_a_user_that_may_only_add_to_the_stream_can_publish(redis, backend):
    events = wins(600)

    Publisher(backend).publish_many(events)

    assert on_stream(redis) == ids(events)


@pytest.mark.parametrize("count", [1, 3])
def test_what_redis_will_never_take_is_refused_at_once(backend, caplog, count):
    with pytest.raises(SetupRefused, match="fix its address"):
        Publisher(backend, stream="elsewhere").publish_many(wins(count))

    assert caplog.records == []


def test_a_key_that_is_no_stream_is_the_set_ups_fault(redis, publisher):
    redis.set("ticket-events", "occupied")

    with pytest.raises(SetupRefused, match="WRONGTYPE"):
        publisher.publish_many(wins(3))


def examples() -> list[str]:
    page = Path(__file__).parents[2] / "producers" / "README.md"
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_readmes_example_publishes_a_win(redis, redis_url):
    example = next(text for text in examples() if "publisher.publish(win)" in text)

    exec(example.replace("redis://localhost:6379/0", redis_url), {})  # noqa: S102 - our own page

    [(_, fields)] = redis.xrange("ticket-events")
    assert json.loads(fields[b"event"])["action"] == "ticket_win"


def test_the_readmes_example_plays_its_lives(redis, redis_url):
    """With smaller numbers, so that no test waits for 200 lives."""
    example = next(text for text in examples() if "play(" in text)
    quick = example.replace("stories(200", "stories(3").replace(".wait)", ".wait, speed=100)")

    exec(quick.replace("redis://localhost:6379/0", redis_url), {})  # noqa: S102 - our own page

    assert redis.xlen("ticket-events") == 6  # three openings, three results
