"""How many requests are under way: in the process (503), and of one caller (429)."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final, TypeVar

import anyio
import anyio.to_thread
from starlette.types import ASGIApp, Receive, Scope, Send

from producers.gateway.errors import BUSY_SECONDS, later

_TOO_MANY: Final = 429
_ALWAYS: Final = frozenset({"/healthz", "/metrics", "/readyz"})


class ConcurrencyLimit:
    """ASGI middleware: turns a request away while *most* others are under way."""

    def __init__(self, app: ASGIApp, *, most: int) -> None:
        """Wrap *app*."""
        self._app = app
        self._most = most
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        if scope["type"] != "http" or scope["path"] in _ALWAYS:
            await self._app(scope, receive, send)
            return
        if self._under_way >= self._most:
            message = "too many requests at once; this one was not looked at"
            await later(message, seconds=BUSY_SECONDS).response()(scope, receive, send)
            return
        self._under_way += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way -= 1


class CallerConcurrency:
    """Counts what each caller has under way. Used from the event loop alone."""

    def __init__(self, most: int) -> None:
        """Let *most* of one caller pass at once."""
        self._most = most
        self._inside: Counter[str] = Counter()

    @contextmanager
    def passed(self, caller: str) -> Iterator[None]:
        """Hold a place for *caller* while the block lasts. Raises Refused (429)."""
        if self._inside[caller] >= self._most:
            message = f"{self._most} requests of yours are under way; wait for their answers"
            raise later(message, seconds=BUSY_SECONDS, status=_TOO_MANY)
        self._inside[caller] += 1
        try:
            yield
        finally:
            self._inside[caller] -= 1
            if not self._inside[caller]:
                del self._inside[caller]


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
