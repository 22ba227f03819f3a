"""Looks for messages of Celery that are where no worker of ours takes them."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError

from worker.cli.doctor.finding import Finding, doubtful, ok, wrong
from worker.metrics.redis_stats import messages_by_list, misplaced_messages
from worker.process.queues import (
    DEAD_LETTERS,
    DEFAULT_QUEUE,
    DELIVER_QUEUE,
    INTAKE_QUEUE,
    PRIORITY_SEPARATOR,
    SWEEP_QUEUE,
    TICKETS_QUEUE,
)

PART: Final = "Celery messages"
_BINDINGS: Final = "_kombu.binding."  # a set for each exchange: key, pattern and queue
_ANSWERS: Final = ".pidbox"  # where answers to `celery inspect` wait
_LOOKS_MAX: Final = 100
_KEYS_A_LOOK: Final = 1_000
_KNOWN: Final = {DEFAULT_QUEUE, TICKETS_QUEUE, INTAKE_QUEUE, DELIVER_QUEUE, SWEEP_QUEUE}
_TAKEN_MAX: Final = timedelta(hours=1)  # none of our tasks takes longer


def examine_lost_tasks(
    redis: Redis, *, holds_stream: bool, is_broker: bool = True
) -> Iterator[Finding]:
    """Count what waits where nobody takes it. Raises redis.RedisError without an answer.

    *holds_stream*: it is the stream's Redis, whose queue `tickets` the intake empties.
    *is_broker*: it holds our own queues.
    """
    lost = misplaced_messages(redis, holds_stream=holds_stream)
    found = [
        _without_queue(redis, holds_stream=holds_stream),
        *_elsewhere(redis),
        _on_broker(lost.get(TICKETS_QUEUE, 0)),
        _dead(lost[DEAD_LETTERS]) if is_broker else None,
        _taken(redis) if is_broker else None,
    ]
    sick = [one for one in found if one is not None]
    yield from sick or [ok(PART, "none lie where no worker takes them")]


def _without_queue(redis: Redis, *, holds_stream: bool) -> Finding | None:
    waiting = messages_by_list(redis, DEFAULT_QUEUE)
    if not waiting:
        return None
    return wrong(
        PART,
        f"{sum(waiting.values()):,} wait in the queue {DEFAULT_QUEUE}, Celery's default, which no"
        " process of Slipway reads",
        mend='send events with queue="tickets" (producers/PUBLISH.md, Celery). '
        + _way_out(waiting, DEFAULT_QUEUE, holds_stream=holds_stream),
    )


def _elsewhere(redis: Redis) -> Iterator[Finding]:
    """Queues of other names, as a slip of the pen makes them; or another application's."""
    for queue in sorted(_declared(redis) - _KNOWN):
        waiting = messages_by_list(redis, queue)
        if waiting and not queue.endswith(_ANSWERS):
            yield doubtful(
                PART,
                f"{sum(waiting.values()):,} wait in the queue {queue!r}, which no process of"
                " Slipway reads",
                mend='nothing, if they are another application\'s. Events go to queue="tickets". '
                + _way_out(waiting, queue, holds_stream=False),
            )


def _way_out(waiting: Mapping[str, int], queue: str, *, holds_stream: bool) -> str:
    if not holds_stream:
        return f"If those in {queue!r} are events, send them again"
    lines = [_move(name, count) for name, count in waiting.items()]
    return f"If those that wait are events, move them, oldest first: {'; '.join(lines)}"


def _move(name: str, count: int) -> str:
    """A line for a shell; a list of a priority has a name that only escapes can write."""
    shown = json.dumps(name).replace("\\u00", "\\x")
    return (
        f'redis-cli --no-auth-warning -u "$SLIPWAY_REDIS_URL" -r {count} --quoted-input'
        f" LMOVE '{shown}' tickets RIGHT LEFT"
    )


def _on_broker(count: int) -> Finding | None:
    if not count:
        return None
    return wrong(
        PART,
        f"{count:,} wait in the queue {TICKETS_QUEUE} on SLIPWAY_BROKER_URL, where it is not read",
        mend="send them to the Redis of SLIPWAY_REDIS_URL",
    )


def _declared(redis: Redis) -> set[str]:
    """The queues that kombu's clients have declared; as many as a short look finds."""
    names: set[str] = set()
    cursor: Any = 0
    try:
        for _ in range(_LOOKS_MAX):
            cursor, keys = redis.scan(cursor, match=f"{_BINDINGS}*", count=_KEYS_A_LOOK)
            for key in keys:
                members: Any = redis.smembers(key)
                names |= {
                    bytes(each).decode(errors="replace").split(PRIORITY_SEPARATOR)[-1]
                    for each in members
                }
            if not cursor:
                break
    except ResponseError:  # a right that is missing, or a key of another type
        pass
    return names


def _dead(count: int) -> Finding | None:
    if not count:
        return None
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
