"""Looks for messages of Celery that are where no worker of ours takes them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError

from worker.cli.examination.finding import Finding, doubtful, ok, wrong
from worker.metrics.lost_messages import DEFAULT, lost_messages
from worker.transport import DEAD_LETTERS

PART: Final = "Celery messages"
_TAKEN_MAX: Final = timedelta(hours=1)  # none of our tasks takes longer


def examine_lost_tasks(broker: Redis, *, holds_stream: bool) -> Iterator[Finding]:
    """Count what waits where nobody takes it. Raises redis.RedisError without an answer.

    *holds_stream*: it is the stream's Redis too, whose queue `tickets` the intake empties.
    """
    lost = lost_messages(broker, holds_stream=holds_stream)
    found = [
        _dead(count) if queue == DEAD_LETTERS else _lost(queue, count)
        for queue, count in lost.items()
        if count
    ]
    taken = _taken(broker)
    sick = found if taken is None else [*found, taken]
    yield from sick or [ok(PART, "none lie where no worker takes them")]


def _lost(queue: str, count: int) -> Finding:
    if queue == DEFAULT:
        found = f"{count:,} wait in the queue {queue}, which no process of Slipway consumes"
        mend = (
            'send them with queue="tickets". What is there is no event yet; if they are events:'
            f" LMOVE {queue} tickets RIGHT LEFT on the stream's Redis, once for each"
        )
    else:
        found = f"{count:,} wait in the queue {queue} on SLIPWAY_BROKER_URL, where it is not read"
        mend = "send them to the Redis of SLIPWAY_REDIS_URL"
    return wrong(PART, found, mend=mend)


def _dead(count: int) -> Finding:
    return doubtful(
        PART,
        f"{count:,} could not be read by any worker and were put on {DEAD_LETTERS}",
        mend=f"LRANGE {DEAD_LETTERS} 0 9 shows their queue and reason; find out who sends them,"
        f" then DEL {DEAD_LETTERS}",
    )


def _taken(broker: Redis) -> Finding | None:
    """Messages that a worker took and never finished."""
    try:
        oldest: Any = broker.zrange("unacked_index", 0, 0, withscores=True)
    except ResponseError:  # a key of another type: examined by itself
        return None
    if not oldest:
        return None
    seconds, _ = broker.time()
    age = datetime.fromtimestamp(seconds, UTC) - datetime.fromtimestamp(oldest[0][1], UTC)
    if age < _TAKEN_MAX:
        return None
    return doubtful(
        PART,
        f"one was taken by a worker {age.total_seconds() / 3600:,.0f} h ago and never finished",
        mend="a worker died with it; it is restored by the next worker that starts. If it stays,"
        " compare the clocks of the workers' machines",
    )
