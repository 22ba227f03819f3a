"""Publishes events to the stream `ticket-events`: at least once, counted once by their ids."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Self

from redis import Redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from models.events.stream_contract import EVENT_FIELD, STREAM
from models.settings.redis_address import redis_address, redis_tls
from producers.publisher.append import StreamAppender
from producers.publisher.connection import connect
from producers.publisher.errors import CallTooLarge
from producers.publisher.event import PreparedEvent, prepare
from producers.publisher.redis_errors import error_class, is_retryable
from producers.wall_clock import utc_now

log = logging.getLogger(__name__)

CALL_EVENTS_MAX = 10_000
CALL_BYTES_MAX = 64 * 1024 * 1024
GROUP_EVENTS_MAX = 500
GROUP_BYTES_MAX = 4 * 1024 * 1024  # of one round trip, in memory on both sides
TRIES_MAX = 4
PAUSE = ExponentialWithJitterBackoff(base=0.1, cap=1.0)  # seconds between tries
SOCKET_TIMEOUT_SECONDS = 5.0


class Publisher:
    """Publishes events; may be shared between threads.

    Two limits on retries, which do not multiply: the client retries lost connections and timeouts
    (redis-py: 10 times by default, `Publisher.at`: 3 times); a full or read-only Redis is tried
    *tries_max* times in all, with pauses of up to a second.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        stream: str = STREAM,
        tries_max: int = TRIES_MAX,
        waitaof_ms: int | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """Publish with *redis*, which the caller closes: a client of one server, no RedisCluster.

        With *waitaof_ms* each group waits until it is on the server's disk; `NotOnDisk` if that
        takes longer. A server without support (before Redis 7.2, or `appendonly no`) is sent
        nothing: `DiskUnconfirmable`. Raises ValueError unless it is shorter than the client's
        socket timeout.
        """
        if not hasattr(redis, "connection_pool"):  # a RedisCluster
            raise TypeError("redis must be a client of one server; on a cluster use Publisher.at")
        socket_timeout = redis.connection_pool.connection_kwargs.get("socket_timeout")
        if waitaof_ms is not None and not 0 < waitaof_ms < (socket_timeout or float("inf")) * 1000:
            raise ValueError(
                f"waitaof_ms is {waitaof_ms}: it must be above 0 and below the client's "
                f"socket_timeout of {socket_timeout} s, which would expire first"
            )
        if tries_max < 1:
            raise ValueError(f"tries_max is {tries_max}: the minimum is 1")
        self._redis = redis
        self._stream = stream
        self._tries_max = tries_max
        self._appender = StreamAppender(redis, stream=stream, waitaof_ms=waitaof_ms)
        self._now = now

    @classmethod
    def at(cls, url: str, *, stream: str = STREAM, waitaof_ms: int | None = None) -> Self:
        """Publish to the Redis at *url* with timeouts; `close` closes the connections.

        *stream*: the installation's SLIPWAY_STREAM. Raises ValueError if *url*, or a file that it
        names, is not valid for SLIPWAY_REDIS_URL.
        """
        address = redis_address(url)
        _check_files(address)
        client = connect(
            address,
            stream=stream,
            connect_seconds=SOCKET_TIMEOUT_SECONDS,
            retry=Retry(PAUSE, retries=TRIES_MAX - 1),
            socket_timeout=SOCKET_TIMEOUT_SECONDS + (waitaof_ms or 0) / 1000,
        )
        return cls(client, stream=stream, waitaof_ms=waitaof_ms)

    def close(self) -> None:
        """Close the client's idle connections. It opens new ones if it is used again."""
        self._redis.close()

    def publish(self, event: Mapping[str, object]) -> str:
        """Publish one event and return its entry id. Raises as `publish_many` does."""
        return self.publish_many([event])[0]

    def publish_many(self, events: Sequence[Mapping[str, object]]) -> list[str]:
        """Publish *events* in their order and return their entry ids.

        All are checked before the first is sent: after `EventUnsendable` and `CallTooLarge` (over
        10,000 events or 64 MiB) nothing was sent. Missing `event_id` and `occurred_at` are filled
        in then, so that a repeat is never a new event. Up to 500 events share a round trip and are
        added together or not at all. `PublishLater` and `SetupRefused` say which are on the stream
        and carry the others; a group whose response was lost may be there already, and counts
        once all the same.
        """
        if len(events) > CALL_EVENTS_MAX:
            raise CallTooLarge(
                f"{len(events):,} events in one call; the maximum is {CALL_EVENTS_MAX:,}"
            )
        prepared = self._prepared(events)
        entry_ids: list[str] = []
        for group in _groups(prepared):
            try:
                entry_ids += self._send([ready.line for ready in group])
            except RedisError as refusal:
                rest = [ready.event for ready in prepared[len(entry_ids) :]]
                unfinished = error_class(refusal)
                raise unfinished(str(refusal), entry_ids=entry_ids, unpublished=rest) from refusal
        return entry_ids

    def _prepared(self, events: Sequence[Mapping[str, object]]) -> list[PreparedEvent]:
        prepared, size = [], 0
        for position, event in enumerate(events):
            ready = prepare(event, position=position, now=self._now)
            size += len(ready.line)
            if size > CALL_BYTES_MAX:
                raise CallTooLarge(f"these events exceed {CALL_BYTES_MAX:,} bytes; split the call")
            prepared.append(ready)
        return prepared

    def _send(self, lines: Sequence[bytes]) -> list[str]:
        tries = Retry(PAUSE, retries=self._tries_max - 1, supported_errors=(RedisError,))
        return tries.call_with_retry(
            lambda: self._appender.add([{EVENT_FIELD: line} for line in lines]),
            self._log_failure,
            is_retryable=is_retryable,
        )

    def _log_failure(self, refusal: Exception) -> None:
        log.warning("publish_failed", extra={"stream": self._stream, "reason": str(refusal)})


def _check_files(address: str) -> None:
    """Raise ValueError if a file that *address* names cannot be used."""
    tls = redis_tls(address)
    if tls is None or not tls.files:
        return
    from models.settings.redis_files import (  # noqa: PLC0415 - loads certificates' code, 3 MiB, for files only
        redis_files_problems,
    )

    if problems := [*redis_files_problems({"url": address}, now=utc_now())]:
        raise ValueError("; ".join(problems))


def _groups(prepared: Sequence[PreparedEvent]) -> Iterator[list[PreparedEvent]]:
    group: list[PreparedEvent] = []
    size = 0
    for ready in prepared:
        full = len(group) == GROUP_EVENTS_MAX or size + len(ready.line) > GROUP_BYTES_MAX
        if group and full:
            yield group
            group, size = [], 0
        group.append(ready)
        size += len(ready.line)
    if group:
        yield group
