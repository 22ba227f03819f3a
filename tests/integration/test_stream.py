"""The consumer group on the stream: nothing is lost, nothing is delivered indefinitely."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.connection import Connection, ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from models.events.decode import read as read_entry
from models.events.event import Entry, Unreadable
from models.events.stream_contract import GROUP, STREAM
from worker.intake.stream import PORTION, READ_BYTES_MAX, Stream, consumer_name

AT_ONCE = timedelta()
WIN = '{"action":"ticket_win","data":{"operator":"acme","ticket_id":"1"}}'
BLOCK = timedelta(milliseconds=20)

Consumer = Callable[[str], Stream]


@pytest.fixture
def consumer(redis_url: str) -> Iterator[Consumer]:
    """Make a consumer with a connection of its own."""
    with ExitStack() as endings:

        def connected(name: str) -> Stream:
            client = Redis.from_url(redis_url, retry=Retry(NoBackoff(), 0))
            endings.callback(client.close)
            return Stream(client, consumer=name)

        yield connected


def add(redis: Redis, *texts: str) -> list[str]:
    added: list[Any] = [redis.xadd(STREAM, {"event": text}) for text in texts]
    return [id_.decode() for id_ in added]


def read(stream: Stream, count: int = 100) -> list[Entry]:
    return stream.read(count=count, block=BLOCK)


def reclaim(stream: Stream, idle: timedelta = AT_ONCE) -> list[Entry]:
    return stream.reclaim(min_idle=idle, count=100)


def ids(entries: list[Entry]) -> list[str]:
    return [entry.id for entry in entries]


def left(redis: Redis) -> tuple[int, int]:
    """How many entries are on the stream, and how many of them are pending."""
    return redis.xlen(STREAM), redis.xpending(STREAM, GROUP)["pending"]


def test_a_missing_stream_is_created_and_waited_for(redis, consumer):
    assert read(consumer("a")) == []
    assert redis.xinfo_groups(STREAM)[0]["name"] == GROUP.encode()


def test_entries_published_before_the_group_existed_are_read(redis, consumer):
    published = add(redis, "one", "two")

    entries = read(consumer("a"))

    assert ids(entries) == published
    assert [entry.fields for entry in entries] == [{b"event": b"one"}, {b"event": b"two"}]
    assert [entry.deliveries for entry in entries] == [1, 1]


def test_a_read_returns_no_more_than_its_count(redis, consumer):
    published = add(redis, "one", "two", "three")
    stream = consumer("a")

    assert ids(read(stream, 2)) == published[:2]
    assert ids(read(stream, 2)) == published[2:]


class Counting(Connection):
    """A connection that counts how often it sends."""

    sent = 0

    def send_packed_command(self, command: object, check_health: object = True) -> None:  # noqa: FBT002 - redis-py's
        type(self).sent += 1
        super().send_packed_command(command, check_health)  # type: ignore[no-untyped-call]  # redis-py's


def test_entries_come_with_redis_time_in_one_round_trip(redis, consumer, redis_url):
    read(consumer("another"))  # makes the group
    pool = ConnectionPool.from_url(redis_url, connection_class=Counting)
    with Redis.from_pool(pool) as client:
        client.ping()  # connects
        before = Counting.sent
        stream = Stream(client, consumer="a")
        published = add(redis, "one")

        entries = read(stream)

        assert ids(entries) == published
        assert Counting.sent == before + 1


BIG = "x" * (256 * 1024)


def test_a_read_is_bounded_by_its_size_as_well(redis, consumer):
    """500 of the largest events are 128 MiB, in a container that has 512."""
    published = add(redis, *[BIG] * 160)
    stream = consumer("a")

    first, second, third, rest = (read(stream, 500) for _ in range(4))

    assert len(first) <= PORTION
    assert len(second) == len(third) == READ_BYTES_MAX // len(BIG)  # it knows their size now
    assert ids([*first, *second, *third, *rest]) == published


def test_small_entries_fill_a_batch_whatever_the_portions(redis, consumer):
    published = add(redis, *map(str, range(5 * PORTION + 7)))

    assert ids(read(consumer("a"), 1_000)) == published
    assert left(redis) == (len(published), len(published))


def test_after_large_entries_small_ones_come_in_full_batches_again(redis, consumer):
    add(redis, BIG, *["small"] * 400)
    stream = consumer("a")

    assert len(read(stream, 1)) == 1
    assert len(read(stream, 500)) == 400


def test_reclaimed_entries_are_bounded_by_size_as_well(redis, consumer):
    published = add(redis, *[BIG] * 100)
    redis.xgroup_create(STREAM, GROUP, id="0")
    redis.xreadgroup(GROUP, "dead", {STREAM: ">"}, count=100)
    stream = consumer("a")

    portions = [reclaim(stream)]
    while portions[-1]:
        stream.acknowledge(ids(portions[-1]))
        portions.append(reclaim(stream))

    assert ids([entry for part in portions for entry in part]) == published
    assert max(map(len, portions)) <= PORTION


def test_a_portion_that_fails_after_another_is_read_again(redis, consumer, monkeypatch):
    published = add(redis, *map(str, range(PORTION + 1)))
    stream = consumer("a")
    portion = stream._read_portion  # noqa: SLF001 - the connection breaks between two portions

    def breaks(count: int, wait: int | None, *, begun: bool) -> Any:  # noqa: ANN401 - passed on
        if begun:
            monkeypatch.undo()
            redis.client_kill_filter(_type="normal", skipme=True)
            redis.config_set("maxclients", redis.info("clients")["connected_clients"])
        return portion(count, wait, begun=begun)

    monkeypatch.setattr(stream, "_read_portion", breaks)
    try:
        with pytest.raises(RedisConnectionError):
            read(stream, 1_000)
    finally:
        redis.config_set("maxclients", 10_000)

    assert ids(reclaim(stream, timedelta(hours=1))) == published[:PORTION]
    assert ids(read(stream)) == published[PORTION:]


def test_two_consumers_share_the_entries(redis, consumer):
    published = add(redis, "one", "two")

    assert ids(read(consumer("a"), 1)) + ids(read(consumer("b"), 1)) == published


def test_an_acknowledged_entry_is_removed_from_group_and_stream(redis, consumer):
    add(redis, "one", "two")
    stream = consumer("a")

    stream.acknowledge(ids(read(stream, 1)))

    assert left(redis) == (1, 0)


def test_entries_of_a_dead_consumer_are_reclaimed_and_counted(redis, consumer):
    published = add(redis, "one", "two")
    read(consumer("dead"))

    entries = reclaim(consumer("b"))

    assert ids(entries) == published
    assert [entry.deliveries for entry in entries] == [2, 2]


def test_a_running_consumer_keeps_its_pending_entries(redis, consumer):
    add(redis, "one")
    read(consumer("a"))

    assert reclaim(consumer("b"), timedelta(minutes=1)) == []


def test_the_third_delivery_comes_alone_and_its_neighbours_are_not_counted_with_it(redis, consumer):
    """Rule H46: an entry that kills its reader must not drag its neighbours along."""
    published = add(redis, "killer", "fine")
    read(consumer("first"))
    reclaim(consumer("second"))

    alone = reclaim(consumer("third"))

    assert ids(alone) == published[:1]
    assert alone[0].deliveries == 3
    counts = {entry["message_id"].decode(): entry["times_delivered"] for entry in pending(redis)}
    assert counts == {published[0]: 3, published[1]: 2}


def test_released_entries_are_free_at_once_and_were_not_delivered(redis, consumer):
    """An outage of the database must not look like an entry that kills its readers."""
    published = add(redis, "one", "two")
    first, second = consumer("a"), consumer("b")
    first.release(read(first))

    for _ in range(5):
        entries = reclaim(second, timedelta(hours=1))
        assert ids(entries) == published
        assert [entry.deliveries for entry in entries] == [1, 1]
        second.release(entries)


def test_an_entry_deleted_by_another_client_does_not_stay_pending(redis, consumer):
    (published,) = add(redis, "one")
    read(consumer("a"))
    redis.xdel(STREAM, published)

    assert reclaim(consumer("b")) == []
    assert left(redis) == (0, 0)


def test_entries_in_a_reply_that_never_arrived_are_read_again(redis, consumer):
    published = add(redis, "one")
    stream = consumer("a")
    read(consumer("a"))  # the same consumer, whose connection breaks before the answer arrives
    redis.config_set("maxclients", redis.info("clients")["connected_clients"])
    try:
        with pytest.raises(RedisConnectionError):
            read(stream)
    finally:
        redis.config_set("maxclients", 10_000)

    assert ids(reclaim(stream, timedelta(hours=1))) == published


@pytest.mark.parametrize("lose", ["flushall", "delete", "destroy"])
def test_the_group_is_created_again_when_it_vanishes_while_running(redis, consumer, lose):
    stream = consumer("a")
    read(stream)
    {
        "flushall": redis.flushall,
        "delete": lambda: redis.delete(STREAM),
        "destroy": lambda: redis.xgroup_destroy(STREAM, GROUP),
    }[lose]()
    published = add(redis, "one")

    assert reclaim(stream) == []
    assert ids(read(stream)) == published
    stream.remove_idle_consumers(idle=AT_ONCE)
    stream.remove_consumer()


def test_a_group_that_vanished_with_pending_entries_delivers_them_again(redis, consumer):
    published = add(redis, "one", "two")
    stream = consumer("a")
    read(stream)
    redis.xgroup_destroy(STREAM, GROUP)

    assert ids(read(stream)) == published


def test_consumers_are_removed_only_when_idle_and_empty(redis, consumer):
    add(redis, "one")
    read(consumer("holds-one"))
    read(consumer("idle"))
    stream = consumer("a")

    assert stream.remove_idle_consumers(idle=timedelta(hours=1)) == 0
    assert stream.remove_idle_consumers(idle=AT_ONCE) == 1
    assert {member["name"] for member in redis.xinfo_consumers(STREAM, GROUP)} == {b"holds-one"}
    assert left(redis) == (1, 1)


def test_a_consumer_removes_only_itself_and_only_when_empty(redis, consumer):
    add(redis, "one")
    stream = consumer("leaves")
    entries = read(stream)
    read(consumer("stays"))

    stream.remove_consumer()
    assert len(redis.xinfo_consumers(STREAM, GROUP)) == 2

    stream.acknowledge(ids(entries))
    stream.remove_consumer()
    assert [member["name"] for member in redis.xinfo_consumers(STREAM, GROUP)] == [b"stays"]


def test_replies_are_parsed_alike_in_both_versions_of_the_protocol(redis, redis_url):
    published = add(redis, "one", "two")

    with Redis.from_url(redis_url, protocol=2) as old, Redis.from_url(redis_url, protocol=3) as new:
        entries = [*read(Stream(old, consumer="a"), 1), *read(Stream(new, consumer="b"), 1)]

    assert ids(entries) == published


def test_no_two_consumers_have_the_same_name():
    assert consumer_name() != consumer_name()


def pending(redis: Redis) -> Any:  # noqa: ANN401 - redis-py's own dictionaries
    return redis.xpending_range(STREAM, GROUP, min="-", max="+", count=100)


# --- a field whose name appears twice ---------------------------------------------------------


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize(
    "fields",
    [
        ("event", WIN, "event", WIN),
        ("type", "CELERY", "event", WIN, "type", "LOTTERY_V2"),
        ("event", WIN, "operator", "a", "operator", "b"),
    ],
)
def test_no_field_of_an_entry_hides_another(redis, redis_url, fields, protocol):
    """XADD takes a name twice; the last one must not count as if it were the only one."""
    redis.execute_command("XADD", STREAM, "*", *fields)
    client = Redis.from_url(redis_url, protocol=protocol)

    with client:
        (first,) = read(Stream(client, consumer="a"))
        (again,) = reclaim(Stream(client, consumer="b"))

    for entry in (first, again):
        kept = read_entry(entry)
        assert isinstance(kept, Unreadable)
        assert kept.reason == "invalid_event"
        assert f"'{fields[0]} (1)'" in kept.message
        assert sorted(entry.fields.values()) == sorted(value.encode() for value in fields[1::2])
        assert all(value.encode() in kept.raw for value in fields[1::2])
        assert not kept.whole


@pytest.mark.parametrize("protocol", [2, 3])
def test_an_entry_is_read_as_it_was_added(redis, redis_url, protocol):
    redis.execute_command("XADD", STREAM, "*", "event", WIN, "type", "CELERY")
    client = Redis.from_url(redis_url, protocol=protocol)

    with client:
        (first,) = read(Stream(client, consumer="a"))
        (again,) = reclaim(Stream(client, consumer="b"))

    assert first.fields == again.fields == {b"event": WIN.encode(), b"type": b"CELERY"}
