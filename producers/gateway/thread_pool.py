"""Blocking work (PostgreSQL, Redis) in a bounded number of threads."""

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import anyio
import anyio.to_thread

from producers.gateway.errors import BUSY_SECONDS, later

Found = TypeVar("Found")


class BlockingThreads:
    """At most *count* pieces of work at once; the others wait in line, not for ever."""

    def __init__(self, count: int, *, patience: timedelta) -> None:
        """Start no thread yet; each comes when it is first needed."""
        self._free = anyio.Semaphore(count)
        self._limiter = anyio.CapacityLimiter(count)
        self._patience = patience.total_seconds()

    async def run(self, work: Callable[[], Found]) -> Found:
        """Run *work* and return what it returns. Raises Refused (503) when its turn never came.

        Work that has begun is finished, also when the one who asked for it is cancelled: it has
        limits of its own, and half of it would be worse.
        """
        with anyio.move_on_after(self._patience) as waiting:
            await self._free.acquire()
        if waiting.cancelled_caught:
            raise later("too much to do at the moment; nothing was done", seconds=BUSY_SECONDS)
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._free.release()
