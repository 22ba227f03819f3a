"""An entry counts as added when Redis answers with its id, and not otherwise."""

from collections.abc import Callable, Iterator

import pytest
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import make_url

from models.events.stream_contract import STREAM
from producers.publisher import (
    NotConfirmed,
    Publisher,
    RedisFull,
    RedisReadOnly,
    SetupRefused,
    StreamUnusable,
)
from producers.publisher.append import StreamAppender
from producers.publisher.redis_errors import EntryIdMissing, error_class
from tests.support.scripted_redis import scripted_redis

LAST = 2**64 - 1
ENTRIES = [{b"event": b"first"}, {b"event": b"second"}, {b"event": b"third"}]
ID = b"$3\r\n1-1\r\n"


def exhaust(redis: Redis, *, left: int = 0) -> None:
    """Leave *left* ids to the stream, and no entry on it."""
    redis.xadd(STREAM, {"event": "last"}, id=f"{LAST}-{LAST - left}")
    redis.xtrim(STREAM, maxlen=0, approximate=False)


def event(number: int) -> dict[str, object]:
    return {"action": "ticket_win", "data": {"operator": "acme", "ticket_id": str(number)}}


UNUSABLE: dict[str, Callable[[Redis], object]] = {
    "string": lambda redis: redis.set(STREAM, "x"),
    "list": lambda redis: redis.rpush(STREAM, "x"),
    "hash": lambda redis: redis.hset(STREAM, "x", "x"),
    "exhausted": exhaust,
}


@pytest.mark.parametrize("broken", UNUSABLE)
@pytest.mark.parametrize("count", [1, 3])
def test_a_key_that_takes_no_entry_adds_none(redis, broken, count):
    UNUSABLE[broken](redis)
    before = redis.dump(STREAM)
    adding = StreamAppender(redis)

    with pytest.raises(RedisError) as refusal:
        adding.add(ENTRIES[:count])
    with pytest.raises(RedisError) as foreseen:
        adding.require_writable()

    assert error_class(refusal.value) is error_class(foreseen.value) is StreamUnusable
    assert redis.dump(STREAM) == before
    redis.delete(STREAM)
    adding.require_writable()
    assert len(adding.add(ENTRIES[:count])) == redis.xlen(STREAM) == count


def test_a_publisher_names_the_key_and_tries_once(redis, caplog):
    exhaust(redis)

    with pytest.raises(StreamUnusable, match="slipway doctor") as refusal:
        Publisher(redis).publish_many([event(1), event(2)])

    assert (refusal.value.entry_ids, len(refusal.value.unpublished)) == ((), 2)
    assert caplog.records == []


def test_the_last_id_confirms_nothing_of_a_group_that_needs_two(redis):
    exhaust(redis, left=1)

    with pytest.raises(StreamUnusable) as refusal:
        Publisher(redis).publish_many([event(1), event(2)])

    assert len(refusal.value.unpublished) == 2
    assert redis.xlen(STREAM) == 1  # counts once when both are published again


@pytest.fixture
def only_connection(redis_url: str) -> Iterator[Redis]:
    """A client that has one connection, so that what one call leaves behind, the next one meets."""
    with Redis.from_url(redis_url, max_connections=1) as client:
        yield client


def watch(client: Redis, key: str) -> None:
    connection = client.connection_pool.get_connection()
    connection.send_command("WATCH", key)  # type: ignore[no-untyped-call]  # redis-py's
    connection.read_response()
    client.connection_pool.release(connection)


def test_a_transaction_that_did_not_run_is_no_success(redis, only_connection):
    """EXEC returns nil where a watched key changed."""
    watch(only_connection, "watched")
    redis.set("watched", "changed")

    with pytest.raises(EntryIdMissing, match="nil"):
        StreamAppender(only_connection).add(ENTRIES)

    assert redis.xlen(STREAM) == 0
    assert len(StreamAppender(only_connection).add(ENTRIES)) == redis.xlen(STREAM) == 3


def test_a_publisher_repeats_a_transaction_that_did_not_run(redis, only_connection):
    watch(only_connection, "watched")
    redis.set("watched", "changed")

    assert len(Publisher(only_connection).publish_many([event(1), event(2)])) == 2
    assert redis.xlen(STREAM) == 2


@pytest.mark.parametrize("lacking", ["exec", "multi"])
def test_a_refused_transaction_leaves_its_connection_fit_for_the_next(redis, redis_url, lacking):
    rights = ["-@all", "+@connection", "+xadd", "+multi", "+exec", f"-{lacking}"]
    redis.acl_setuser(
        "halfway", enabled=True, passwords=["+pass"], keys=[STREAM], commands=rights, reset=True
    )
    address = make_url(redis_url).set(username="halfway", password="pass")
    url = address.render_as_string(hide_password=False)
    try:
        with Redis.from_url(url, max_connections=1) as client:
            with pytest.raises(RedisError) as refusal:
                StreamAppender(client).add(ENTRIES)
            assert error_class(refusal.value) is SetupRefused
            redis.delete(STREAM)
            redis.acl_setuser("halfway", enabled=True, keys=[STREAM], commands=[f"+{lacking}"])

            assert len(StreamAppender(client).add(ENTRIES)) == redis.xlen(STREAM) == 3
    finally:
        redis.acl_deluser("halfway")


@pytest.mark.parametrize(
    "reply",
    [
        b"*-1\r\n",
        b"*0\r\n",
        b"+OK\r\n",
        b":3\r\n",
        b"*2\r\n" + 2 * ID,
        b"*4\r\n" + 4 * ID,
        b"*3\r\n" + 2 * ID + b"$-1\r\n",
        b"*3\r\n" + 2 * ID + b"+QUEUED\r\n",
        b"*3\r\n" + 2 * ID + b"$4\r\n1-1x\r\n",
    ],
)
def test_what_is_not_an_id_for_each_entry_confirms_nothing(reply):
    with scripted_redis({"XADD": b"+QUEUED\r\n", "EXEC": reply}) as url, Redis.from_url(url) as it:
        with pytest.raises(EntryIdMissing):
            StreamAppender(it).add(ENTRIES)
        with pytest.raises(NotConfirmed) as refusal:
            Publisher(it, tries_max=1).publish_many([event(1), event(2), event(3)])

    assert refusal.value.entry_ids == ()


@pytest.mark.parametrize("reply", [b"+OK\r\n", b"$-1\r\n", b"+QUEUED\r\n", b"*1\r\n" + ID])
def test_a_single_entry_needs_its_id_as_well(reply):
    with (
        scripted_redis({"XADD": reply}) as url,
        Redis.from_url(url) as client,
        pytest.raises(EntryIdMissing),
    ):
        StreamAppender(client).add(ENTRIES[:1])


@pytest.mark.parametrize(
    ("abort", "kind"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", RedisFull),
        ("NOREPLICAS Not enough good replicas to write.", RedisReadOnly),
        ("MISCONF Errors writing to the AOF file", RedisReadOnly),
        ("previous errors.", SetupRefused),
    ],
)
def test_an_exec_that_is_aborted_says_why(abort, kind):
    """A server may find out only then, when all entries are queued."""
    reply = f"-EXECABORT Transaction discarded because of: {abort}\r\n".encode()
    with (
        scripted_redis({"XADD": b"+QUEUED\r\n", "EXEC": reply}) as url,
        Redis.from_url(url) as client,
        pytest.raises(kind),
    ):
        Publisher(client, tries_max=1).publish_many([event(1), event(2)])


# --- the trial entry ---


def test_asking_whether_entries_are_taken_makes_no_stream(redis):
    StreamAppender(redis).require_writable()

    assert redis.keys() == []


def test_asking_whether_entries_are_taken_leaves_the_stream_as_it_is(redis):
    ids = StreamAppender(redis).add(ENTRIES)
    redis.xgroup_create(STREAM, "slipway", "0")
    redis.xreadgroup("slipway", "a", {STREAM: ">"}, count=1)
    before = redis.dump(STREAM)

    for _ in range(3):
        StreamAppender(redis).require_writable()

    assert redis.dump(STREAM) == before
    assert [name.decode() for name, _ in redis.xrange(STREAM)] == ids


def test_a_stream_that_never_held_an_entry_holds_none_afterwards(redis):
    """The one kind of stream that takes the trial entry; a reader that waits is given nothing."""
    redis.xgroup_create(STREAM, "slipway", "0", mkstream=True)

    StreamAppender(redis).require_writable()
    StreamAppender(redis).require_writable()

    assert redis.xlen(STREAM) == 0
    assert not redis.xreadgroup("slipway", "a", {STREAM: ">"}, block=1)
    (added,) = StreamAppender(redis).add(ENTRIES[:1])
    ((_, entries),) = redis.xreadgroup("slipway", "a", {STREAM: ">"})
    assert [name.decode() for name, _ in entries] == [added]


def test_a_reader_that_waits_is_not_woken_by_the_trial(redis, redis_url):
    redis.xgroup_create(STREAM, "slipway", "0", mkstream=True)
    with Redis.from_url(redis_url, max_connections=1) as reader:
        connection = reader.connection_pool.get_connection()
        connection.send_command(
            *("XREADGROUP", "GROUP", "slipway", "a", "BLOCK", "10000", "STREAMS", STREAM, ">")
        )
        StreamAppender(redis).require_writable()
        (added,) = StreamAppender(redis).add(ENTRIES[:1])

        reply = connection.read_response()
        reader.connection_pool.release(connection)

    assert added.encode() in str(reply).encode()
