"""Messages of Celery that lie where no worker of ours takes them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from redis import Redis
from redis.exceptions import ResponseError

from worker.celery.transport import DEAD_LETTERS
from worker.intake.celery_queue.script import LISTS

DEFAULT: Final = "celery"  # where a task goes whose sender names no queue
STEP: Final = "\x06\x16"  # kombu's separator in the names of its keys
_PRIORITIES: Final = ("", *(f"{STEP}{step}" for step in (3, 6, 9)))  # a list for each
_ALWAYS: Final = MappingProxyType(
    {DEFAULT: tuple(DEFAULT + priority for priority in _PRIORITIES), DEAD_LETTERS: (DEAD_LETTERS,)}
)


def lost_messages(broker: Redis, *, holds_stream: bool) -> Mapping[str, int]:
    """Count what waits in each queue that no worker consumes. Raises redis.RedisError.

    *holds_stream*: it is the stream's Redis too, whose queue `tickets` the intake empties.
    """
    lists = dict(_ALWAYS) if holds_stream else {**_ALWAYS, "tickets": LISTS}
    return {queue: sum(_length(broker, name) for name in names) for queue, names in lists.items()}


def waiting_in(redis: Redis, queue: str) -> Mapping[str, int]:
    """Count what waits in each list of *queue* that holds anything. Raises redis.RedisError."""
    lengths = {queue + step: _length(redis, queue + step) for step in _PRIORITIES}
    return {name: count for name, count in lengths.items() if count}


def _length(broker: Redis, name: str) -> int:
    try:
        return int(broker.llen(name))
    except ResponseError:  # a key of another type holds no message; the doctor examines it
        return 0
