"""One look at what operations watch in Redis: the stream, the queues, the server's own health."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError

from models.events.stream_contract import GROUP, STREAM
from models.platform.timestamps import entry_id_time, from_microseconds
from worker.intake.noted_moments import read_moments

SAFE_POLICY: Final = "noeviction"


@dataclass(frozen=True, slots=True)
class StreamStats:
    """How things stand in Redis at the moment *at*, by its own clock."""

    at: datetime
    entries: int
    pending: int  # handed to a consumer and not yet finished
    oldest_at: datetime | None  # arrival of the oldest entry that is not applied
    ids_ahead: timedelta  # how far the stream's last id is ahead of Redis' clock; 0: it is not
    memory_bytes: int
    memory_limit_bytes: int  # 0: none
    keeps_everything: bool  # it evicts nothing when it is full
    writes_log: bool  # append-only file on, and its last write went well

    @property
    def unread(self) -> int:
        """Entries that nobody was handed yet; what is applied leaves the stream."""
        return max(0, self.entries - self.pending)


def survey_stream(redis: Redis) -> StreamStats:
    """Look once: five short round trips. Raises redis.RedisError when Redis cannot be asked."""
    group = _group(redis)
    unread: Any = redis.xrange(STREAM, min=f"({group.delivered}", count=1)
    unapplied = [id_ for id_ in (group.oldest_pending, *(id_.decode() for id_, _ in unread)) if id_]
    with redis.pipeline(transaction=False) as asking:
        asking.time()
        asking.xlen(STREAM)
        asking.info("memory")
        asking.info("persistence")
        (seconds, microseconds), entries, memory, persistence = asking.execute()
    now = from_microseconds(seconds * 1_000_000 + microseconds)
    return StreamStats(
        at=now,
        entries=entries,
        pending=group.pending,
        oldest_at=min(_arrivals(redis, unapplied, now), default=None),
        ids_ahead=max(timedelta(), entry_id_time(group.last_id) - now),
        memory_bytes=memory["used_memory"],
        memory_limit_bytes=memory.get("maxmemory", 0),
        keeps_everything=memory.get("maxmemory_policy", SAFE_POLICY) == SAFE_POLICY,
        writes_log=bool(persistence.get("aof_enabled"))
        and persistence.get("aof_last_write_status", "ok") == "ok",
    )


def survey_queues(redis: Redis, lists: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Count the messages of each queue, whose *lists* may be several: one for each priority.

    Raises redis.RedisError when Redis cannot be asked.
    """
    with redis.pipeline(transaction=False) as asking:
        for keys in lists.values():
            for key in keys:
                asking.llen(key)
        lengths = iter(asking.execute())
    return {queue: sum(next(lengths) for _ in keys) for queue, keys in lists.items()}


def _arrivals(redis: Redis, ids: Sequence[str], now: datetime) -> list[datetime]:
    """When entries came. An id from the future does not tell, but the sweeps' looks do (rule 3)."""
    if all(entry_id_time(id_) <= now for id_ in ids):
        return [entry_id_time(id_) for id_ in ids]
    moments = read_moments(redis)
    return [min(now, entry_id_time(id_), moments.seen_at(id_) or now) for id_ in ids]


@dataclass(frozen=True, slots=True)
class _GroupInfo:
    delivered: str = "0-0"
    pending: int = 0
    oldest_pending: str | None = None
    last_id: str = "0-0"  # the stream's: every new one is greater


def _group(redis: Redis) -> _GroupInfo:
    try:
        last_id = redis.xinfo_stream(STREAM)["last-generated-id"].decode()
    except ResponseError:  # no stream yet
        return _GroupInfo()
    try:
        groups: list[dict[str, Any]] = redis.xinfo_groups(STREAM)
        pending: Any = redis.xpending(STREAM, GROUP)
    except ResponseError:  # no group yet: nothing was handed out
        return _GroupInfo(last_id=last_id)
    delivered = next(one["last-delivered-id"] for one in groups if one["name"] == GROUP.encode())
    oldest = pending["min"]
    return _GroupInfo(
        delivered.decode(), pending["pending"], oldest.decode() if oldest else None, last_id
    )
