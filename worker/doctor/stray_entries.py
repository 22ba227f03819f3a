"""Checks for entries of the stream that no intake reads: in another place, or passed over."""

from collections.abc import Iterator
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from models.events.stream_contract import GROUP
from worker.doctor.finding import Finding, doubtful, wrong

STRAY: Final = "stray entries"
_DATABASES_MAX: Final = 16

Id = tuple[int, int]


def check_passed_over(redis: Redis, *, stream: str) -> Iterator[Finding]:
    """Check that the group has passed no entry that it was not given. Raises redis.RedisError."""
    with redis.pipeline(transaction=True) as pipeline:
        pipeline.xinfo_groups(stream)
        pipeline.xpending(stream, GROUP)
        pipeline.xrange(stream, count=1)
        try:
            groups, pending, first = pipeline.execute()
        except ResponseError:  # no stream, no group, or a key of another type
            return
    passed = next(group["last-delivered-id"] for group in groups if group["name"] == GROUP.encode())
    if not first:
        return
    entry = _id(first[0][0])
    if entry <= _id(passed) and (pending["min"] is None or entry < _id(pending["min"])):
        yield wrong(
            STRAY,
            f"the group {GROUP} has passed the entry {first[0][0].decode()}, and perhaps more,"
            " which no intake was given: they were skipped (XGROUP CREATE … $, XGROUP SETID), or"
            " another client acknowledged them",
            remedy=f"XGROUP SETID {stream} {GROUP} 0: the intake reads them, and what was applied"
            " before counts once",
        )


def check_broker_entries(broker: Redis, *, stream: str) -> Iterator[Finding]:
    """Check the broker's Redis for events, if it is another one. Raises redis.RedisError."""
    try:
        count: Any = broker.xlen(stream)
    except ResponseError:
        return
    if count and not _has_group(broker, stream):
        yield wrong(
            STRAY,
            f"{count:,} entries of {stream} are on SLIPWAY_BROKER_URL's Redis, where no intake"
            " reads them",
            remedy="have the backends publish to the Redis of SLIPWAY_REDIS_URL, and publish these"
            f" again there; then DEL {stream} on the broker's",
        )


def check_other_databases(redis: Redis, *, stream: str, own: str) -> Iterator[Finding]:
    """Check the other databases of the stream's Redis. *own* is the number of ours.

    Raises redis.RedisError if Redis cannot be reached.
    """
    keyspace: Any = redis.info("keyspace")
    numbers = [name.removeprefix("db") for name in keyspace if name.startswith("db")]
    for number in [each for each in numbers if each != own][:_DATABASES_MAX]:
        count = _unread(redis, number, stream)
        if count:
            yield doubtful(
                STRAY,
                f"{count:,} entries of {stream} are in database {number} of this Redis, and the"
                f" intake reads database {own}",
                remedy=f"correct the number at the end of the publishers' address (/{own}), and"
                " publish these again; nothing, if they belong to another installation",
            )


def _unread(redis: Redis, number: str, stream: str) -> int:
    """Return how many entries another database has that no group reads."""
    connection: Any = redis.connection_pool.get_connection()
    try:
        answers = []
        for command in (("SELECT", number), ("XLEN", stream), ("XINFO", "GROUPS", stream)):
            connection.send_command(*command)
            answers.append(connection.read_response())
    except ResponseError:  # no right, no stream, or a key of another type
        return 0
    finally:
        connection.disconnect()  # it has selected another database
        redis.connection_pool.release(connection)
    _, count, groups = answers
    return 0 if groups else int(count)


def _has_group(redis: Redis, stream: str) -> bool:
    try:
        return bool(redis.xinfo_groups(stream))
    except RedisError:
        return False


def _id(text: bytes) -> Id:
    ms, _, number = text.decode().partition("-")
    return int(ms), int(number or 0)
