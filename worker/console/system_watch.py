"""What a process knows of the servers around it: looked at rarely, one look at a time.

`doctor` takes seconds, and a Redis that is away takes as long as its limits. Both are looked at in
a thread of their own, never in one that pages need, and each result is shown to all for a while.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Generic, TypeVar

import anyio
from fastapi import Depends, Request
from redis.exceptions import RedisError

from models.database.errors import error_line
from models.platform.blocking_threads import BlockingThreads
from models.settings.settings import Settings
from worker.doctor.checks import check_installation
from worker.doctor.finding import Finding
from worker.metrics.redis_stats import StreamStats, collect_stream_stats
from worker.process.redis_client import open_redis
from worker.process.stream_keys import StreamKeys

log = logging.getLogger(__name__)

T = TypeVar("T")
CHECKS_KEPT: Final = timedelta(seconds=30)
STREAM_KEPT: Final = timedelta(seconds=5)
_PATIENCE: Final = timedelta(seconds=60)  # the checks before it end within their own limits


@dataclass(frozen=True, slots=True)
class Look(Generic[T]):
    """The result of a look, or why there is none; *age*: how long ago it was taken."""

    result: T | None
    problem: str | None
    age: timedelta


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """The stream, and the server that holds it."""

    stream: StreamStats
    server: str
    version: str


class Watched(Generic[T]):
    """One thing that is looked at: at most once at a time, and not again while it is fresh."""

    def __init__(self, work: Callable[[], T], *, kept: timedelta) -> None:
        """*work* blocks; what it raises is its problem."""
        self._work = work
        self._kept = kept.total_seconds()
        self._threads = BlockingThreads(1, patience=_PATIENCE)
        self._last: tuple[float, T | None, str | None] | None = None
        self._lock: anyio.Lock | None = None
        self._looking: asyncio.Task[Look[T]] | None = None

    def last(self) -> Look[T] | None:
        """Return the last look, however old; None before the first one."""
        if self._last is None:
            return None
        at, result, problem = self._last
        return Look(result, problem, timedelta(seconds=anyio.current_time() - at))

    async def look(self) -> Look[T]:
        """Return a look that is fresh; all who ask meanwhile wait for the same one."""
        if self._lock is None:
            self._lock = anyio.Lock()
        async with self._lock:
            last = self.last()
            if last is None or last.age.total_seconds() >= self._kept:
                result, problem = await self._threads.run(self._attempt)
                self._last = (anyio.current_time(), result, problem)
                last = self.last()
            assert last is not None, "just taken"
            return last

    async def look_within(self, bound: timedelta) -> Look[T] | None:
        """Return a fresh look if it takes no longer than *bound*, else the last one.

        The look goes on without the request, so the next one finds it. None before the first one.
        """
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self.look())
        await asyncio.wait({self._looking}, timeout=bound.total_seconds())
        return self.last()

    def _attempt(self) -> tuple[T | None, str | None]:
        try:
            return self._work(), None
        except RedisError as error:
            return None, f"Redis does not respond: {error_line(error).rstrip('.')}"
        except Exception as error:
            log.exception("look_failed", extra={"error": type(error).__name__})
            return None, "the check itself failed; the console's log says why"


class SystemWatch:
    """The looks of one process."""

    def __init__(self, settings: Settings) -> None:
        """Connect to nothing yet."""
        self.checks = Watched(lambda: _findings(settings), kept=CHECKS_KEPT)
        self._redis = Watched(lambda: _redis_facts(settings), kept=STREAM_KEPT)

    async def stream(self) -> Look[RedisFacts]:
        """Return the state of the stream."""
        return await self._redis.look()

    def last_stream(self) -> Look[RedisFacts] | None:
        """Return the last state of the stream that was looked at."""
        return self._redis.last()


def _findings(settings: Settings) -> tuple[Finding, ...]:
    now = datetime.now(UTC)  # noqa: TID251 - this machine's clock is what is checked
    return tuple(check_installation(settings, now=now, fetches_tokens=False))


def _redis_facts(settings: Settings) -> RedisFacts:
    with open_redis(
        settings.redis_url, retries=0, name="slipway-console", stream=settings.stream
    ) as client:
        stream = collect_stream_stats(client, StreamKeys.of(settings))
        facts = client.info("server")
    if "valkey_version" in facts:
        return RedisFacts(stream, "Valkey", str(facts["valkey_version"]))
    return RedisFacts(stream, "Redis", str(facts["redis_version"]))


def watch_of(request: Request) -> SystemWatch:
    """Return the watch of the process that serves *request*."""
    watch = request.app.state.watch
    assert isinstance(watch, SystemWatch), "the application was built with one"
    return watch


TheWatch = Annotated[SystemWatch, Depends(watch_of)]
