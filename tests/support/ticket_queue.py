"""The queue `tickets` and the stream behind it, as a test looks at them."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis

from models.events.event import Entry
from models.events.stream_contract import STREAM
from worker.process.stream_keys import KEYS


def arrived(redis: Redis) -> list[Entry]:
    """Return what is on the stream, in its order."""
    rows: list[tuple[bytes, dict[bytes, bytes]]] = redis.xrange(STREAM)  # type: ignore[assignment] # bytes, undecoded
    return [Entry(id_.decode(), fields) for id_, fields in rows]


def waiting(redis: Redis) -> list[int]:
    """Return how many messages wait, by priority, the most urgent first."""
    return [redis.llen(name) for name in KEYS.queue]


@contextmanager
def full(redis: Redis) -> Iterator[None]:
    """Let Redis have no room for anything while the block runs."""
    redis.config_set("maxmemory", 1)
    try:
        yield
    finally:
        redis.config_set("maxmemory", 0)
