"""Examines the stream: the consumer group is there, and somebody applies what is on it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError

from models.events.stream_contract import GROUP, STREAM
from worker.cli.doctor.finding import Finding, doubtful, ok, wrong
from worker.metrics.redis_stats import collect_stream_stats

PART: Final = "stream"
_LATE: Final = timedelta(seconds=60)
_AHEAD: Final = timedelta(seconds=2)  # below it, Redis' clock was corrected as clocks are


def examine_stream(redis: Redis) -> Iterator[Finding]:
    """Look at stream and group. Raises redis.RedisError when Redis cannot be asked."""
    try:
        groups: Any = redis.xinfo_groups(STREAM)
    except ResponseError:  # there is no such key, or it is none of a stream
        groups = []
        kind: Any = redis.type(STREAM)
        if kind not in (b"none", b"stream"):
            yield wrong(
                PART,
                f"the key {STREAM} is a {kind.decode()}, not a stream",
                mend=f"find out who writes there; then RENAME {STREAM} to something else",
            )
            return
    if GROUP.encode() not in {group["name"] for group in groups}:
        yield wrong(
            PART,
            f"{STREAM} has no consumer group {GROUP}: nobody ever read it",
            mend="start an intake, which makes it: line `intake` of the Procfile, or `slipway up`",
        )
        return
    seen = collect_stream_stats(redis)
    waiting = timedelta() if seen.oldest_at is None else seen.at - seen.oldest_at
    if waiting > _LATE:
        yield doubtful(
            PART,
            f"{seen.entries} entries are not applied, the oldest for {_seconds(waiting)}",
            mend="read the intake's log: it waits for the database, or there are too few of them",
        )
    else:
        yield ok(PART, f"{seen.entries} entries are not applied yet")
    if seen.ids_ahead > _AHEAD:
        yield wrong(
            PART,
            f"its last id is {_seconds(seen.ids_ahead)} ahead of Redis' clock: an entry was added"
            " with an id from the future, or the clock was set back",
            mend="find out who chooses ids (always add with *), then reset the stream's last id:"
            " deploy/RUNBOOK.md, SlipwayStreamIdsAhead",
        )


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():,.0f} s"
