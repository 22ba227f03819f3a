"""Puts events on the stream `ticket-events`: each at least once, counted once by its id."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Self

from redis import Redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ReadOnlyError, RedisError
from redis.retry import Retry

from models.events.stream_contract import EVENT_FIELD, STREAM
from models.settings.addresses import redis_address
from producers.publisher.append import StreamAppender
from producers.publisher.errors import TooMuchAtOnce
from producers.publisher.event import Prepared, prepare
from producers.publisher.redis_errors import meaning, worth_another_try
from producers.wall_clock import utc_now

log = logging.getLogger(__name__)

CALL_EVENTS_MAX = 10_000
CALL_BYTES_MAX = 64 * 1024 * 1024
GROUP_EVENTS_MAX = 500
GROUP_BYTES_MAX = 4 * 1024 * 1024  # what one round trip may hold in memory on both sides
TRIES_MAX = 4
PAUSE = ExponentialWithJitterBackoff(base=0.1, cap=1.0)  # seconds between tries
SOCKET_SECONDS_MAX = 5.0


class Publisher:
    """Publishes events; may be shared between threads.

    Two bounds on trying, which do not multiply: lost connections and timeouts are the client's
    to repeat (redis-py: 10 times unless told otherwise, `Publisher.at`: 3 times); a full or
    read-only Redis is tried *tries_max* times in all, with pauses of up to a second.
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
        """Publish with *redis*, which stays its owner's to close.

        With *waitaof_ms* each group waits until it is on the server's disk, `NotOnDisk` if that
        takes longer. A server that cannot do it (before Redis 7.2, or `appendonly no`) is sent
        nothing: `DiskUnconfirmable`. ValueError unless it is shorter than the client's socket
        timeout.
        """
        patience = redis.connection_pool.connection_kwargs.get("socket_timeout")
        if waitaof_ms is not None and not 0 < waitaof_ms < (patience or float("inf")) * 1000:
            raise ValueError(
                f"waitaof_ms is {waitaof_ms}: it must be above 0 and below the client's "
                f"socket_timeout of {patience} s, which would give up first"
            )
        if tries_max < 1:
            raise ValueError(f"tries_max is {tries_max}: at least one try is needed")
        self._redis = redis
        self._stream = stream
        self._tries_max = tries_max
        self._adding = StreamAppender(redis, stream=stream, waitaof_ms=waitaof_ms)
        self._now = now

    @classmethod
    def at(cls, url: str, *, waitaof_ms: int | None = None) -> Self:
        """Publish to the Redis at *url*: bounded patience, and `close` ends the connections.

        Raises ValueError where *url* cannot be read as SLIPWAY_REDIS_URL is.
        """
        client = Redis.from_url(
            redis_address(url),
            retry=Retry(PAUSE, retries=TRIES_MAX - 1),
            socket_connect_timeout=SOCKET_SECONDS_MAX,
            socket_timeout=SOCKET_SECONDS_MAX + (waitaof_ms or 0) / 1000,
        )
        return cls(client, waitaof_ms=waitaof_ms)

    def close(self) -> None:
        """End the client's idle connections. It opens new ones if it is used again."""
        self._redis.close()

    def publish(self, event: Mapping[str, object]) -> str:
        """Put one event on the stream and return its entry id. Raises as `publish_many`."""
        return self.publish_many([event])[0]

    def publish_many(self, events: Sequence[Mapping[str, object]]) -> list[str]:
        """Put *events* on the stream in their order and return their entry ids.

        All are checked before the first is sent: `EventUnsendable` and `TooMuchAtOnce` (over
        10,000 events or 64 MiB) mean that nothing was sent. `event_id` and `occurred_at`, where
        missing, are fixed then too, so that a repeat never makes a new statement. Up to 500
        events share a round trip and are put on the stream together or not at all.
        `PublishLater` and `SetupRefused` tell which are there and carry the rest; a group whose
        answer was lost may be there already, and counts once all the same.
        """
        if len(events) > CALL_EVENTS_MAX:
            raise TooMuchAtOnce(
                f"{len(events):,} events in one call; the most is {CALL_EVENTS_MAX:,}"
            )
        prepared = self._prepared(events)
        entry_ids: list[str] = []
        for group in _groups(prepared):
            try:
                entry_ids += self._send([ready.line for ready in group])
            except RedisError as refusal:
                rest = [ready.event for ready in prepared[len(entry_ids) :]]
                unfinished = meaning(refusal)
                raise unfinished(str(refusal), entry_ids=entry_ids, unpublished=rest) from refusal
        return entry_ids

    def _prepared(self, events: Sequence[Mapping[str, object]]) -> list[Prepared]:
        prepared, size = [], 0
        for position, given in enumerate(events):
            ready = prepare(given, position=position, now=self._now)
            size += len(ready.line)
            if size > CALL_BYTES_MAX:
                raise TooMuchAtOnce(
                    f"these events exceed {CALL_BYTES_MAX:,} bytes; divide the call"
                )
            prepared.append(ready)
        return prepared

    def _send(self, lines: Sequence[bytes]) -> list[str]:
        tries = Retry(PAUSE, retries=self._tries_max - 1, supported_errors=(RedisError,))
        return tries.call_with_retry(
            lambda: self._adding.add([{EVENT_FIELD: line} for line in lines]),
            self._refused,
            is_retryable=worth_another_try,
        )

    def _refused(self, refusal: Exception) -> None:
        log.warning("publish_refused", extra={"stream": self._stream, "reason": str(refusal)})
        if isinstance(refusal, ReadOnlyError):  # this connection leads to what was the primary
            self._redis.connection_pool.disconnect(inuse_connections=False)


def _groups(prepared: Sequence[Prepared]) -> Iterator[list[Prepared]]:
    group: list[Prepared] = []
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
