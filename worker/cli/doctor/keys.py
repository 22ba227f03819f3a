"""Examines the keys of Slipway in Redis, and whether Redis would take an event."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from models.events.stream_contract import STREAM
from producers.publisher import (
    DiskUnconfirmable,
    PublishIncomplete,
    RedisFull,
    RedisReadOnly,
    StreamUnusable,
)
from producers.publisher.append import StreamAppender
from producers.publisher.redis_errors import error_class
from worker.cli.doctor.finding import Finding, doubtful, ok, wrong
from worker.intake.celery_queue import LISTS
from worker.intake.noted_moments import MOMENTS
from worker.process.queues import DEAD_LETTERS, DELIVER_QUEUE, INTAKE_QUEUE, SWEEP_QUEUE

PUBLISHING: Final = "publishing"
KEYS: Final = "keys"
STREAM_KEYS: Final[Mapping[str, str]] = {
    STREAM: "stream",
    MOMENTS: "zset",
    **dict.fromkeys(LISTS, "list"),
}
BROKER_KEYS: Final[Mapping[str, str]] = {
    **dict.fromkeys((DELIVER_QUEUE, INTAKE_QUEUE, SWEEP_QUEUE, DEAD_LETTERS), "list"),
    "unacked": "hash",
    "unacked_index": "zset",
}
_LAST_MS: Final = 2**64 - 1  # of an id; from there on Redis counts up the second part alone
_MENDS: Final[Mapping[type[PublishIncomplete], str]] = {
    StreamUnusable: "deploy/RUNBOOK.md, SlipwayPublishingRefused, says how to repair the key",
    DiskUnconfirmable: "take Redis 7.2 or Valkey with `appendonly yes` and a user with +waitaof, or"
    " set SLIPWAY_WAITAOF to `off`: until then the gateway does not start, and publishers send"
    " nothing",
    RedisFull: "raise maxmemory, or find out why events wait (see: stream)",
    RedisReadOnly: "let the URL lead to the primary, bring back its replicas, or make room on its"
    " disk: deploy/RUNBOOK.md, SlipwayPublishingRefused",
}


def examine_publishing(redis: Redis, *, waitaof_ms: int | None) -> Iterator[Finding]:
    """Have Redis judge an event that it does not keep. Raises redis.RedisError if it is away."""
    try:
        StreamAppender(redis, waitaof_ms=waitaof_ms).require_writable()
    except (RedisConnectionError, RedisTimeoutError):
        raise
    except RedisError as refusal:
        mend = _MENDS.get(error_class(refusal), "deploy/RUNBOOK.md, SlipwayPublishingRefused")
        yield wrong(PUBLISHING, f"an event would be refused now: {_quoted(refusal)}", mend=mend)
    else:
        yield ok(PUBLISHING, "an event would be taken")


def examine_keys(redis: Redis, keys: Mapping[str, str]) -> Iterator[Finding]:
    """Look whether each of *keys* has its type. Raises redis.RedisError without an answer."""
    with redis.pipeline(transaction=False) as asking:
        for key in keys:
            asking.type(key)
        found = [kind.decode() for kind in asking.execute()]
    strangers = [
        f"{_shown(key)} is a {kind}, not a {keys[key]}"
        for key, kind in zip(keys, found, strict=True)
        if kind not in ("none", keys[key])
    ]
    if strangers:
        yield wrong(
            KEYS,
            f"another client writes Slipway's keys: {'; '.join(strangers)}",
            mend="find that client (ACL LOG, CLIENT LIST; rights: deploy/redis/users.acl), move"
            " each key out of the way (RENAME KEY KEY:found): Slipway creates it again",
        )
    else:
        yield ok(KEYS, "each key is of its type")


def examine_stream_life(redis: Redis) -> Iterator[Finding]:
    """Look whether the stream runs out of ids, or expires. Raises redis.RedisError."""
    seconds: Any = redis.ttl(STREAM)
    if seconds >= 0:
        yield wrong(
            PUBLISHING,
            f"the key {STREAM} expires in {seconds:,} s, and with it every event that is not"
            " applied",
            mend=f"PERSIST {STREAM}, and find the client that uses EXPIRE (ACL LOG, CLIENT LIST)",
        )
    try:
        facts: Any = redis.xinfo_stream(STREAM)
    except ResponseError:  # no stream yet, or no stream at all
        return
    ms, _, number = facts["last-generated-id"].decode().partition("-")
    left = _LAST_MS - int(number)
    if int(ms) == _LAST_MS and left:
        yield doubtful(
            PUBLISHING,
            f"{left:,} ids are left: a client added an entry with one of the last possible ids",
            mend="deploy/RUNBOOK.md, SlipwayStreamIdsAhead, says how the stream begins again",
        )


def _quoted(refusal: RedisError) -> str:
    code = getattr(refusal, "status_code", None)
    return f"{code} {refusal}" if code and code != "ERR" else str(refusal)


def _shown(key: str) -> str:
    return key.replace("\x06\x16", "\\x06\\x16")
