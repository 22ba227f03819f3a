"""Entries onto the stream `ticket-events`: those of one call together, or none of them."""

import logging
from collections.abc import Mapping, Sequence
from typing import Final, Self

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ReadOnlyError, RedisError
from redis.retry import Retry

from models.events.stream_contract import STREAM
from models.settings.errors import InvalidSettings
from models.settings.settings import Settings
from producers.gateway.errors import later
from producers.publisher import (
    DiskUnconfirmable,
    NotConfirmed,
    NotOnDisk,
    RedisAway,
    RedisFull,
    RedisReadOnly,
    SetupRefused,
    StreamUnusable,
    Unfinished,
)
from producers.publisher.append import Entry, StreamAppender
from producers.publisher.redis_errors import CannotConfirmDisk, meaning

log = logging.getLogger(__name__)

_SECONDS: Final = 3.0
_SAID: Final[Mapping[type[Unfinished], str]] = {
    RedisFull: "the stream is full and takes nothing until the intake has caught up",
    RedisReadOnly: "the stream takes no writes at the moment",
    RedisAway: "the stream does not answer; send the same event_id again, it counts once",
    NotConfirmed: "the stream did not confirm it; send the same event_id again, it counts once",
    NotOnDisk: "on the stream, not confirmed on its disk; send the same event_id again, it counts"
    " once",
    StreamUnusable: "the stream takes no events until its key is repaired",
    DiskUnconfirmable: "nothing was published: the stream cannot confirm on disk, as"
    " SLIPWAY_WAITAOF requires; correct the set-up",
    SetupRefused: "the stream refuses this gateway; its set-up has to be mended",
}
_NOT_READY: Final[Mapping[type[Unfinished], str]] = {
    RedisFull: "Redis is full and takes no events",
    RedisReadOnly: "Redis takes no writes",
    RedisAway: "Redis does not answer",
    StreamUnusable: f"the key {STREAM} takes no events; run `slipway doctor`",
    DiskUnconfirmable: "Redis cannot confirm events on disk, as SLIPWAY_WAITAOF requires",
    SetupRefused: "Redis refuses this gateway's events; run `slipway doctor`",
}


class GatewayStream:
    """One client for the whole process; used by many threads."""

    def __init__(self, redis: Redis, *, waitaof_ms: int | None) -> None:
        """Add with *redis*. With *waitaof_ms* what was added is on disk, or that is said."""
        self._redis = redis
        self._adding = StreamAppender(redis, waitaof_ms=waitaof_ms)

    @classmethod
    def at(cls, settings: Settings) -> Self:
        """Prepare a client that gives up within seconds; it connects when first used."""
        redis = Redis.from_url(
            settings.redis_url,
            socket_timeout=_SECONDS + (settings.waitaof or 0) / 1000,
            socket_connect_timeout=_SECONDS,
            retry=Retry(NoBackoff(), 1),  # a pooled connection may be from before a restart
            client_name="slipway-gateway",
        )
        return cls(redis, waitaof_ms=settings.waitaof)

    def add(self, entries: Sequence[Entry]) -> None:
        """Put *entries* on the stream in their order, all of them or none.

        Raises Refused (503) with what the caller can do, unless Redis gave an id for each. When the
        answer was lost they may be there all the same: every entry names its event, so a repeat
        counts once.
        """
        try:
            self._adding.add(entries)
        except RedisError as refusal:
            kind = self._understood(refusal)
            log.warning("stream_refused", extra={"reason": str(refusal), "meaning": kind.__name__})
            raise later(_SAID[kind]) from refusal

    def fault(self) -> str | None:
        """Say in a sentence why events would be refused now; None when they would be taken.

        Redis judges an entry that it never keeps, so the answer is that of a real XADD.
        """
        try:
            self._adding.require_takes()
        except RedisError as refusal:
            kind = self._understood(refusal)
            log.warning("not_ready_redis", extra={"error": str(refusal)})
            return _NOT_READY[kind] + _code(refusal)
        return None

    def require_disk(self) -> None:
        """Raise InvalidSettings where SLIPWAY_WAITAOF asks for what this Redis cannot do.

        A Redis that cannot be asked raises nothing: it is asked again before the first event.
        """
        try:
            self._adding.require_disk()
        except CannotConfirmDisk as refusal:
            problem = (
                f"SLIPWAY_WAITAOF cannot be kept by this Redis ({refusal}): use Redis 7.2 or Valkey"
                " with `appendonly yes`, or set it to `off`"
            )
            raise InvalidSettings([problem]) from None
        except RedisError as refusal:
            log.warning("waitaof_not_checked", extra={"error": str(refusal)})

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def _understood(self, refusal: RedisError) -> type[Unfinished]:
        if isinstance(refusal, ReadOnlyError):  # it leads to what was the primary
            self._redis.connection_pool.disconnect(inuse_connections=False)
        return meaning(refusal)


def _code(refusal: RedisError) -> str:
    """The error's code, such as NOREPLICAS, where there is one."""
    word = refusal.status_code or str(refusal).partition(" ")[0]
    says_which = word.isupper() and word.isalpha() and word not in ("ERR", "WAITAOF")
    return f" ({word})" if says_which else ""
