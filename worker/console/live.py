"""Live pages: the server says that a page has changed, and the browser fetches it again.

A page with live parts has a second route that ends in `/live` and returns `live_response`. Its
*pulse* is a cheap query whose result differs when the page does. Checks with the same key are
shared: a hundred people on one page cost one query per interval. Everything works without it.
"""

import hashlib
import signal
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import anyio
from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from models.platform.blocking_threads import NoThreadFree
from models.telemetry.http_requests import leave_untimed
from models.users import SignedInUser
from worker.console.console import Console, console_of
from worker.console.people import signed_in
from worker.console.refusals import PageRefused, SignInNeeded

Pulse = Callable[[Connection], object]
"""Reads what the page shows, in short: counts, the newest id, a state. Any value with a `repr`."""

_CHECKS_BETWEEN_SESSIONS: Final = 10  # a session that was ended is noticed within this many checks
_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_POLL_SECONDS: Final = 0.5  # in which a connection notices that the process stops


@dataclass(slots=True)
class LiveConnections:
    """The live connections of one process. Only the event loop uses it, but for `stopping`."""

    most: int
    most_of_session: int
    stopping: threading.Event = field(default_factory=threading.Event)
    _of_session: Counter[int] = field(default_factory=Counter)
    _checks: dict[Hashable, tuple[float, str]] = field(default_factory=dict)
    _checking: set[Hashable] = field(default_factory=set)

    @contextmanager
    def admit(self, session: int) -> Iterator[None]:
        """Count a connection during the block. Raises PageRefused (503, 429)."""
        if self.stopping.is_set() or self._of_session.total() >= self.most:
            raise _refused(HTTPStatus.SERVICE_UNAVAILABLE, "as many pages are live as may be")
        if self._of_session[session] >= self.most_of_session:
            raise _refused(HTTPStatus.TOO_MANY_REQUESTS, "your other tabs are live already")
        self._of_session[session] += 1
        try:
            yield
        finally:
            self._of_session[session] -= 1
            if not self._of_session[session]:
                del self._of_session[session]
            if not self._of_session:
                self._checks.clear()

    async def check(self, console: Console, key: Hashable, pulse: Pulse) -> str | None:
        """Return a digest of what *pulse* reads, or None while the database cannot be asked."""
        at, digest = self._checks.get(key, (float("-inf"), ""))
        fresh = anyio.current_time() - at < console.limits.live_interval.total_seconds() / 2
        if digest and (fresh or key in self._checking):
            return digest
        self._checking.add(key)
        try:
            reading = await console.read(pulse)
        except (SQLAlchemyError, NoThreadFree):
            return None
        finally:
            self._checking.discard(key)
        digest = hashlib.sha256(repr(reading).encode(errors="replace")).hexdigest()[:16]
        self._checks[key] = (anyio.current_time(), digest)
        return digest

    @contextmanager
    def ended_by_signals(self) -> Iterator[None]:
        """During the block, end all connections when the process is told to stop.

        The server waits for its connections before it tells the application anything.
        """
        before: dict[signal.Signals, Any] = {}
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        for number in _STOP_SIGNALS:
            before[number] = former = signal.getsignal(number)

            def stop(received: int, frame: Any, former: Any = former) -> None:  # noqa: ANN401 - as `signal` types them
                self.stopping.set()
                if callable(former):
                    former(received, frame)

            signal.signal(number, stop)
        try:
            yield
        finally:
            for number, former in before.items():
                signal.signal(number, former)


def live_response(
    request: Request, user: SignedInUser, pulse: Pulse, *, key: Hashable = None
) -> Response:
    """Stream `changed` whenever what *pulse* reads differs. Raises PageRefused (503, 429).

    *key*: what else than path and query the pulse depends on. It never depends on the user.
    """
    console, connections = console_of(request), _connections_of(request)
    leave_untimed(request.scope)
    admitted = ExitStack()
    admitted.enter_context(connections.admit(user.session))
    of_page = (request.url.path, request.url.query, key)
    stream = _LiveStream(request, console, connections, of_page, pulse)

    async def body() -> AsyncIterator[str]:
        with admitted:
            async for part in stream.parts():
                yield part

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # nginx: pass on at once
    return StreamingResponse(body(), headers=headers, media_type="text/event-stream")


@dataclass(frozen=True, slots=True)
class _LiveStream:
    """One live connection."""

    request: Request
    console: Console
    connections: LiveConnections
    key: Hashable
    pulse: Pulse

    async def parts(self) -> AsyncIterator[str]:
        limits = self.console.limits
        began = spoke = anyio.current_time()
        shown: str | None = None
        checks = 0
        yield "retry: 3000\n\n"
        while anyio.current_time() - began < limits.live_longest.total_seconds():
            checks += 1
            if checks % _CHECKS_BETWEEN_SESSIONS == 0 and not await self._still_signed_in():
                yield "event: ended\ndata: signed out\n\n"
                return
            digest = await self.connections.check(self.console, self.key, self.pulse)
            now = anyio.current_time()
            if digest is not None and digest != shown:
                # The first one too: the page may have changed since it was rendered.
                yield f"event: changed\ndata: {digest}\n\n"
                shown, spoke = digest, now
            elif now - spoke >= limits.live_keepalive.total_seconds():
                yield ": still here\n\n"
                spoke = now
            if await self._stops_within(limits.live_interval.total_seconds()):
                return

    async def _stops_within(self, seconds: float) -> bool:
        """Wait, and return whether the process stops or the browser has gone."""
        until = anyio.current_time() + seconds
        while (left := until - anyio.current_time()) > 0:
            if self.connections.stopping.is_set():
                return True
            await anyio.sleep(min(left, _POLL_SECONDS))
        return self.connections.stopping.is_set()

    async def _still_signed_in(self) -> bool:
        try:
            await signed_in(self.request, self.console)
        except SignInNeeded:
            return False
        except (SQLAlchemyError, NoThreadFree):
            pass  # not known now; nothing is read from the database either
        return True


def _connections_of(request: Request) -> LiveConnections:
    connections = request.app.state.live
    assert isinstance(connections, LiveConnections), "the application was built with one"
    return connections


def _refused(status: HTTPStatus, why: str) -> PageRefused:
    return PageRefused(status, "Not live", f"This page does not refresh itself: {why}.")
