"""Blocking work of a process with an event loop, in a bounded number of threads."""

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import anyio
import anyio.to_thread

from models.platform.errors import SlipwayError

Result = TypeVar("Result")


class NoThreadFree(SlipwayError):
    """All threads are busy, and none became free in time; the work was not begun."""


class BlockingThreads:
    """Runs at most *count* pieces of work at once; others wait, but not indefinitely."""

    def __init__(self, count: int, *, patience: timedelta) -> None:
        """Start no thread yet: each starts when it is first needed."""
        self._free = anyio.Semaphore(count)
        self._limiter = anyio.CapacityLimiter(count)
        self._patience = patience.total_seconds()

    async def run(self, work: Callable[[], Result]) -> Result:
        """Run *work* and return its result. Raises NoThreadFree if no thread becomes free.

        Work that has started runs to its end, even if its request is cancelled: it has its own
        time limits, and half-done work would be worse.
        """
        with anyio.move_on_after(self._patience) as waiting:
            await self._free.acquire()
        if waiting.cancelled_caught:
            raise NoThreadFree("no thread became free in time; nothing was done")
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._free.release()
