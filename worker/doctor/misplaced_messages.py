"""Checks for Celery messages that no worker of ours consumes."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError

from worker.doctor.finding import Finding, doubtful, ok, wrong
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
_REPLIES: Final = ".pidbox"  # where replies to `celery inspect` wait
_SCANS_MAX: Final = 100
_KEYS_PER_SCAN: Final = 1_000
_KNOWN: Final = {DEFAULT_QUEUE, TICKETS_QUEUE, INTAKE_QUEUE, DELIVER_QUEUE, SWEEP_QUEUE}
_CONSUMED_MAX: Final = timedelta(hours=1)  # none of our tasks takes longer


def check_misplaced_messages(
    redis: Redis, *, holds_stream: bool, is_broker: bool = True
) -> Iterator[Finding]:
    """Count the messages that no worker consumes. Raises redis.RedisError if Redis does not answer.

    *holds_stream*: it is the stream's Redis, whose queue `tickets` the intake drains.
    *is_broker*: it holds Slipway's own queues.
    """
    misplaced = misplaced_messages(redis, holds_stream=holds_stream)
    findings = [
        _in_default_queue(redis, holds_stream=holds_stream),
        *_in_unknown_queues(redis),
        _on_broker(misplaced.get(TICKETS_QUEUE, 0)),
        _dead_lettered(misplaced[DEAD_LETTERS]) if is_broker else None,
        _unfinished(redis) if is_broker else None,
    ]
    problems = [finding for finding in findings if finding is not None]
    yield from problems or [ok(PART, "none are in a queue that no worker reads")]


def _in_default_queue(redis: Redis, *, holds_stream: bool) -> Finding | None:
    waiting = messages_by_list(redis, DEFAULT_QUEUE)
    if not waiting:
        return None
    return wrong(
        PART,
        f"{sum(waiting.values()):,} wait in the queue {DEFAULT_QUEUE}, Celery's default, which no"
        " process of Slipway reads",
        remedy='send events with queue="tickets" (producers/PUBLISH.md, Celery). '
        + _resolution(waiting, DEFAULT_QUEUE, holds_stream=holds_stream),
    )


def _in_unknown_queues(redis: Redis) -> Iterator[Finding]:
    """Check queues of other names: misspelt ones, or those of another application."""
    for queue in sorted(_declared(redis) - _KNOWN):
        waiting = messages_by_list(redis, queue)
        if waiting and not queue.endswith(_REPLIES):
            yield doubtful(
                PART,
                f"{sum(waiting.values()):,} wait in the queue {queue!r}, which no process of"
                " Slipway reads",
                remedy='nothing, if they are another application\'s. Events go to queue="tickets". '
                + _resolution(waiting, queue, holds_stream=False),
            )


def _resolution(waiting: Mapping[str, int], queue: str, *, holds_stream: bool) -> str:
    if not holds_stream:
        return f"If those in {queue!r} are events, send them again"
    lines = [_move(name, count) for name, count in waiting.items()]
    return f"If those that wait are events, move them, oldest first: {'; '.join(lines)}"


def _move(name: str, count: int) -> str:
    """Return a line for a shell; the name of a priority's list needs escapes."""
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
        remedy="send them to the Redis of SLIPWAY_REDIS_URL; on a cluster, to which Celery cannot"
        " send, publish in another way (producers/PUBLISH.md)",
    )


def _declared(redis: Redis) -> set[str]:
    """Return the queues that kombu's clients have declared, as far as a short scan finds them."""
    names: set[str] = set()
    cursor: Any = 0
    try:
        for _ in range(_SCANS_MAX):
            cursor, keys = redis.scan(cursor, match=f"{_BINDINGS}*", count=_KEYS_PER_SCAN)
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


def _dead_lettered(count: int) -> Finding | None:
    if not count:
        return None
    return doubtful(
        PART,
        f"{count:,} could not be read by any worker and were moved to {DEAD_LETTERS}",
        remedy=f"LRANGE {DEAD_LETTERS} 0 9 shows their queue and reason; find out which client"
        f" sends them, then DEL {DEAD_LETTERS}",
    )


def _unfinished(broker: Redis) -> Finding | None:
    """Check for messages that a worker consumed and never finished."""
    try:
        oldest: Any = broker.zrange("unacked_index", 0, 0, withscores=True)
    except ResponseError:  # a key of another type, which has a check of its own
        return None
    if not oldest:
        return None
    seconds, _ = broker.time()
    age = datetime.fromtimestamp(seconds, UTC) - datetime.fromtimestamp(oldest[0][1], UTC)
    if age < _CONSUMED_MAX:
        return None
    return doubtful(
        PART,
        f"one was consumed by a worker {age.total_seconds() / 3600:,.0f} h ago and never finished",
        remedy="its worker died; the next worker that starts restores it. If it stays,"
        " compare the clocks of the workers' machines",
    )
