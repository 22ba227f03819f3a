"""The stats that are collected from Redis: the stream, the queues, and Redis itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError

from models.events.probe_entry import OLDER, is_unusable, probe_command
from models.events.stream_contract import GROUP, STREAM
from models.platform.timestamps import entry_id_time, from_microseconds
from worker.intake.noted_moments import read_moments
from worker.process.queues import DEAD_LETTERS, DEFAULT_QUEUE, TICKETS_QUEUE, priority_lists
from worker.process.stream_keys import KEYS, StreamKeys

SAFE_POLICY: Final = "noeviction"
_NEVER_READ: Final = MappingProxyType(
    {DEFAULT_QUEUE: priority_lists(DEFAULT_QUEUE), DEAD_LETTERS: (DEAD_LETTERS,)}
)


@dataclass(frozen=True, slots=True)
class StreamStats:
    """The state of the stream and of its server at the moment *at*, by Redis' own clock."""

    at: datetime
    entries: int
    pending: int  # delivered to a consumer and not acknowledged
    oldest_at: datetime | None  # arrival of the oldest entry that is not applied
    ids_ahead: timedelta  # how far the stream's last id is ahead of Redis' clock; 0: it is not
    memory_bytes: int
    memory_limit_bytes: int  # 0: none
    noeviction: bool  # it evicts nothing when it is full
    append_only: bool  # its append-only file is on, and was written without an error

    @property
    def unread(self) -> int:
        """Entries that no consumer has read; applied entries leave the stream."""
        return max(0, self.entries - self.pending)


def collect_stream_stats(redis: Redis, keys: StreamKeys = KEYS) -> StreamStats:
    """Collect the stats in five short round trips. Raises redis.RedisError if it is unavailable."""
    group = _group(redis, keys.stream)
    unread: Any = redis.xrange(keys.stream, min=f"({group.delivered}", count=1)
    unapplied = [id_ for id_ in (group.oldest_pending, *(id_.decode() for id_, _ in unread)) if id_]
    with redis.pipeline(transaction=False) as commands:
        commands.time()
        commands.xlen(keys.stream)
        commands.info("memory")
        commands.info("persistence")
        (seconds, microseconds), entries, memory, persistence = commands.execute()
    now = from_microseconds(seconds * 1_000_000 + microseconds)
    return StreamStats(
        at=now,
        entries=entries,
        pending=group.pending,
        oldest_at=min(_arrivals(redis, keys, unapplied, now), default=None),
        ids_ahead=max(timedelta(), entry_id_time(group.last_id) - now),
        memory_bytes=memory["used_memory"],
        memory_limit_bytes=memory.get("maxmemory", 0),
        noeviction=memory.get("maxmemory_policy", SAFE_POLICY) == SAFE_POLICY,
        append_only=bool(persistence.get("aof_enabled"))
        and persistence.get("aof_last_write_status", "ok") == "ok",
    )


def _arrivals(redis: Redis, keys: StreamKeys, ids: Sequence[str], now: datetime) -> list[datetime]:
    """When entries arrived: ids from the future do not tell, but the noted moments do (rule 3)."""
    if all(entry_id_time(id_) <= now for id_ in ids):
        return [entry_id_time(id_) for id_ in ids]
    moments = read_moments(redis, keys)
    return [min(now, entry_id_time(id_), moments.seen_at(id_) or now) for id_ in ids]


@dataclass(frozen=True, slots=True)
class _ConsumerGroup:
    delivered: str = "0-0"
    pending: int = 0
    oldest_pending: str | None = None
    last_id: str = "0-0"  # the stream's: every new one is greater


def _group(redis: Redis, stream: str) -> _ConsumerGroup:
    try:
        last_id = redis.xinfo_stream(stream)["last-generated-id"].decode()
    except ResponseError:  # no stream yet
        return _ConsumerGroup()
    try:
        groups: list[dict[str, Any]] = redis.xinfo_groups(stream)
        pending: Any = redis.xpending(stream, GROUP)
    except ResponseError:  # no group yet: nothing was read
        return _ConsumerGroup(last_id=last_id)
    delivered = next(
        group["last-delivered-id"] for group in groups if group["name"] == GROUP.encode()
    )
    oldest = pending["min"]
    return _ConsumerGroup(
        delivered=delivered.decode(),
        pending=pending["pending"],
        oldest_pending=oldest.decode() if oldest else None,
        last_id=last_id,
    )


class PublishRefusal(StrEnum):
    """Why Redis refuses events."""

    WRONG_TYPE = "wrong_type"  # the key is not a stream
    NO_IDS_LEFT = "no_ids_left"
    FULL = "full"
    TAKES_NO_WRITES = "takes_no_writes"  # a replica, too few replicas, or a failing disk
    OTHER = "other"


_REFUSAL_BY_CODE: Final = {
    "WRONGTYPE": PublishRefusal.WRONG_TYPE,
    "OOM": PublishRefusal.FULL,
    "READONLY": PublishRefusal.TAKES_NO_WRITES,
    "NOREPLICAS": PublishRefusal.TAKES_NO_WRITES,
    "MISCONF": PublishRefusal.TAKES_NO_WRITES,
}


def probe_publishing(redis: Redis, stream: str = STREAM) -> PublishRefusal | None:
    """Try to publish an entry that Redis never stores; return why it refuses events.

    Returns None if it would accept one. Raises redis.RedisError if there is no reply.
    """
    try:
        redis.execute_command(*probe_command(stream))  # type: ignore[no-untyped-call]  # redis-py's
    except ResponseError as error:
        return refusal_of(error)
    return None


def refusal_of(error: ResponseError) -> PublishRefusal | None:
    """Return what the reply to the probe means. None: an event would be accepted."""
    text = str(error)
    if OLDER in text:
        return None
    code = error.status_code or text.partition(" ")[0]
    if is_unusable(text) and code not in _REFUSAL_BY_CODE:
        return PublishRefusal.NO_IDS_LEFT
    return _REFUSAL_BY_CODE.get(code, PublishRefusal.OTHER)


def queue_lengths(redis: Redis, lists: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Count the messages of each queue, which may have several *lists*: one for each priority.

    Raises redis.RedisError if Redis is unavailable.
    """
    with redis.pipeline(transaction=False) as commands:
        for names in lists.values():
            for name in names:
                commands.llen(name)
        lengths = iter(commands.execute())
    return {queue: sum(next(lengths) for _ in names) for queue, names in lists.items()}


def misplaced_messages(broker: Redis, *, holds_stream: bool) -> Mapping[str, int]:
    """Count the messages in each queue that no worker consumes. Raises redis.RedisError.

    *holds_stream*: the broker is the stream's Redis too, whose queue `tickets` the intake drains.
    """
    elsewhere = {} if holds_stream else {TICKETS_QUEUE: priority_lists(TICKETS_QUEUE)}
    lists = {**_NEVER_READ, **elsewhere}
    return {queue: sum(_length(broker, name) for name in names) for queue, names in lists.items()}


def messages_by_list(redis: Redis, queue: str) -> Mapping[str, int]:
    """Count the messages in each list of *queue* that has any. Raises redis.RedisError."""
    lengths = {name: _length(redis, name) for name in priority_lists(queue)}
    return {name: length for name, length in lengths.items() if length}


def _length(broker: Redis, name: str) -> int:
    try:
        return int(broker.llen(name))
    except ResponseError:  # a key of another type holds no message; the doctor reports it
        return 0
