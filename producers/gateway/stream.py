"""Entries onto the stream `ticket-events`: those of one call together, or none of them."""

import logging
from collections.abc import Mapping, Sequence
from typing import Final, Self

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ReadOnlyError, RedisError
from redis.retry import Retry

from models.settings import Settings
from producers.gateway.errors import Refused, later
from producers.publisher import (
    STREAM,
    NotOnDisk,
    RedisAway,
    RedisFull,
    RedisReadOnly,
    SetupRefused,
    Unfinished,
)
from producers.publisher.refusal import DiskTooSlow, meaning

log = logging.getLogger(__name__)

_SECONDS: Final = 3.0
_SAID: Final[Mapping[type[Unfinished], str]] = {
    RedisFull: "the stream is full and takes nothing until the intake has caught up",
    RedisReadOnly: "the stream takes no writes at the moment",
    RedisAway: "the stream does not answer; send the same event_id again, it counts once",
    NotOnDisk: "on the stream, not yet on its disk; send the same event_id again, it counts once",
    SetupRefused: "the stream refuses this gateway; its set-up has to be mended",
}

Entry = Mapping[str, bytes]


class Stream:
    """One client for the whole process; used by many threads."""

    def __init__(self, redis: Redis, *, waitaof_ms: int | None) -> None:
        """Add with *redis*. With *waitaof_ms* what was added is on disk, or that is said."""
        self.redis = redis
        self._waitaof_ms = waitaof_ms

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

        Raises Refused (503) with what the caller can do. When the answer was lost they may be
        there all the same: every entry names its event, so a repeat counts once.
        """
        try:
            self._exchange(entries)
        except RedisError as refusal:
            if isinstance(refusal, ReadOnlyError):  # it leads to what was the primary
                self.redis.connection_pool.disconnect(inuse_connections=False)
            raise _refused(refusal) from refusal

    def _exchange(self, entries: Sequence[Entry]) -> None:
        """One round trip. A plain pipeline to a server that is nearly full would leave gaps."""
        with self.redis.pipeline(transaction=False) as pipeline:
            pipeline.execute_command("MULTI")  # type: ignore[no-untyped-call]  # redis-py's
            for entry in entries:
                words = [part for field in entry.items() for part in field]
                pipeline.execute_command("XADD", STREAM, "*", *words)  # type: ignore[no-untyped-call]  # redis-py's
            pipeline.execute_command("EXEC")  # type: ignore[no-untyped-call]  # redis-py's
            if self._waitaof_ms is not None:  # speaks of this connection's writes, so it is in here
                pipeline.waitaof(1, 0, self._waitaof_ms)
            replies = pipeline.execute(raise_on_error=False)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        if self._waitaof_ms is not None and replies[-1][0] < 1:
            raise DiskTooSlow(f"WAITAOF: not within {self._waitaof_ms} ms")


def _refused(refusal: RedisError) -> Refused:
    kind = meaning(refusal)
    log.warning("stream_refused", extra={"reason": str(refusal), "meaning": kind.__name__})
    return later(_SAID[kind])
