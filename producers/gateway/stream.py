"""Adds entries to the stream `ticket-events`: all those of one call, or none."""

import logging
from collections.abc import Mapping, Sequence
from typing import Final, Self

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from models.events.stream_contract import STREAM, TRACEPARENT_FIELD
from models.settings.errors import InvalidSettings
from models.settings.redis_tls import tls_failure
from models.settings.settings import Settings
from models.tracing.tracer import Tracer
from producers.gateway.errors import retry_later
from producers.gateway.spans import begin_publish
from producers.publisher import (
    DiskUnconfirmable,
    NotConfirmed,
    NotOnDisk,
    PublishIncomplete,
    RedisFull,
    RedisReadOnly,
    RedisUnavailable,
    SetupRefused,
    StreamUnusable,
)
from producers.publisher.append import Entry, StreamAppender
from producers.publisher.cluster import UnsuitableRedis
from producers.publisher.connection import connect
from producers.publisher.redis_errors import DiskConfirmationUnsupported, error_class

log = logging.getLogger(__name__)

_TIMEOUT_SECONDS: Final = 3.0
_MESSAGES: Final[Mapping[type[PublishIncomplete], str]] = {
    RedisFull: "the stream is full until the intake has caught up; retry later",
    RedisReadOnly: "the stream accepts no writes now; retry later",
    RedisUnavailable: "the stream does not respond; send the same event_id again, it counts once",
    NotConfirmed: "the stream did not confirm it; send the same event_id again, it counts once",
    NotOnDisk: "on the stream, but not confirmed on disk; send the same event_id again, it counts"
    " once",
    StreamUnusable: "the stream accepts no events until its key is repaired",
    DiskUnconfirmable: "nothing was published: the stream cannot confirm on disk, as"
    " SLIPWAY_WAITAOF requires; fix the configuration",
    SetupRefused: "the stream rejects this gateway; its configuration must be fixed",
}
_NOT_READY: Final[Mapping[type[PublishIncomplete], str]] = {
    RedisFull: "Redis is full and accepts no events",
    RedisReadOnly: "Redis accepts no writes",
    RedisUnavailable: "Redis does not respond",
    StreamUnusable: "the key {stream} accepts no events; run `slipway doctor`",
    DiskUnconfirmable: "Redis cannot confirm events on disk, as SLIPWAY_WAITAOF requires",
    SetupRefused: "Redis rejects this gateway's events; run `slipway doctor`",
}
_UNSUITABLE: Final = (
    "Redis cannot be used as SLIPWAY_REDIS_URL has it (redis+cluster:// or redis://); run `slipway"
    " doctor`"
)


class GatewayStream:
    """One client for the whole process, used by many threads."""

    def __init__(
        self,
        redis: Redis,
        *,
        stream: str = STREAM,
        waitaof_ms: int | None,
        tracer: Tracer | None = None,
    ) -> None:
        """Add with *redis*. With *waitaof_ms* an entry that is not on disk is an error."""
        self._redis = redis
        self._stream = stream
        self._tracer = tracer
        self._appender = StreamAppender(redis, stream=stream, waitaof_ms=waitaof_ms)

    @classmethod
    def at(cls, settings: Settings, *, tracer: Tracer | None = None) -> Self:
        """Prepare a client that times out within seconds; it connects on first use."""
        redis = connect(
            settings.redis_url,
            stream=settings.stream,
            connect_seconds=_TIMEOUT_SECONDS,
            socket_timeout=_TIMEOUT_SECONDS + (settings.waitaof or 0) / 1000,
            retry=Retry(NoBackoff(), 1),  # a pooled connection may date from before a restart
            client_name="slipway-gateway",
        )
        return cls(redis, stream=settings.stream, waitaof_ms=settings.waitaof, tracer=tracer)

    def add(self, entries: Sequence[Entry], *, traceparent: str | None = None) -> str | None:
        """Add *entries* to the stream in their order, all or none; *traceparent*: of the request.

        Returns what the entries have: that of the request, or of its span here, which begins a
        trace for a request without one.

        Raises RequestRefused (503), which says what the caller can do, unless Redis returned an id
        for each. If the response was lost, they may be there all the same: every entry has an
        event id, so a repeat counts once.
        """
        span, trace = None, traceparent
        if self._tracer is not None:
            span, trace = begin_publish(self._tracer, self._stream, len(entries), traceparent)
        try:
            self._appender.add(_traced(entries, trace))
        except RedisError as error:
            cause = error_class(error)
            if span is not None:
                span.end(error=_MESSAGES[cause])
            log.warning(
                "stream_unavailable",
                extra={"reason": _reason(error), "error_class": cause.__name__},
            )
            raise retry_later(_MESSAGES[cause]) from error
        if span is not None:
            span.end()
        return trace

    def fault(self) -> str | None:
        """Describe why events would be rejected now. Returns None if they would be accepted.

        Redis checks an entry that it never stores, so the result is that of a real XADD.
        """
        try:
            self._appender.require_writable()
        except RedisError as error:
            cause = error_class(error)
            log.warning("not_ready_redis", extra={"error": _reason(error)})
            if isinstance(error, UnsuitableRedis):
                return _UNSUITABLE
            return _NOT_READY[cause].format(stream=self._stream) + _code(error)
        return None

    def require_usable(self) -> None:
        """Raise InvalidSettings if the address, or SLIPWAY_WAITAOF, does not fit this Redis.

        An unreachable Redis raises nothing: all is checked again before the first event.
        """
        try:
            self._redis.ping()
            self._appender.require_disk()
        except UnsuitableRedis as error:
            raise InvalidSettings([str(error)]) from None
        except DiskConfirmationUnsupported as error:
            problem = (
                f"this Redis does not support SLIPWAY_WAITAOF ({error}): use Redis 7.2 or Valkey"
                " with `appendonly yes`, or set it to `off`"
            )
            raise InvalidSettings([problem]) from None
        except RedisError as error:
            log.warning("redis_not_checked", extra={"error": _reason(error)})

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


def _traced(entries: Sequence[Entry], traceparent: str | None) -> Sequence[Entry]:
    if traceparent is None:
        return entries
    return [{**entry, TRACEPARENT_FIELD: traceparent.encode()} for entry in entries]


def _reason(error: RedisError) -> str:
    return tls_failure(error) or str(error)


def _code(error: RedisError) -> str:
    """Return the error's code, such as NOREPLICAS, if it has one."""
    word = error.status_code or str(error).partition(" ")[0]
    is_specific = word.isupper() and word.isalpha() and word not in ("ERR", "WAITAOF")
    return f" ({word})" if is_specific else ""
