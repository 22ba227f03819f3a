"""Limits of concurrency: requests of the process and of one caller."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from models.publishers.keys import KeyHolder
from producers.gateway.errors import BUSY_SECONDS, retry_later

_TOO_MANY_REQUESTS: Final = 429
_SIGNED_PATHS: Final = "/be/"  # of the Bet Engine API
_UNLIMITED_PATHS: Final = frozenset({"/healthz", "/metrics", "/readyz"})


class ConcurrencyLimit:
    """ASGI middleware: rejects a request while *most* others of its kind are in progress.

    Requests that are signed are one kind, all others the second. A signature covers the body, which
    must arrive before the caller is known; a publisher key is checked first. The slow
    bodies of unauthenticated callers therefore take no place from publishers.
    """

    def __init__(self, app: ASGIApp, *, most: int) -> None:
        """Wrap *app*."""
        self._app = app
        self._most = most
        self._in_progress: Counter[bool] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reject the request, or pass it on."""
        if scope["type"] != "http" or scope["path"] in _UNLIMITED_PATHS:
            await self._app(scope, receive, send)
            return
        is_signed = scope["path"].startswith(_SIGNED_PATHS)
        if self._in_progress[is_signed] >= self._most:
            message = "too many concurrent requests; retry later"
            await retry_later(message, seconds=BUSY_SECONDS).response()(scope, receive, send)
            return
        self._in_progress[is_signed] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_progress[is_signed] -= 1


class CallerConcurrency:
    """Counts the requests in progress of each caller. Only the event loop may use it."""

    def __init__(self, most: int, *, counting: str = "") -> None:
        """Admit at most *most* requests of one caller at once; *counting* ends the refusal."""
        self._most = most
        self._counting = counting
        self._in_progress: Counter[str] = Counter()

    @contextmanager
    def admit(self, callers: Sequence[str]) -> Iterator[None]:
        """Count a request of each of *callers* during the block. Raises RequestRefused (429)."""
        if any(self._in_progress[caller] >= self._most for caller in callers):
            message = f"too many concurrent requests: you have {self._most} in progress"
            raise retry_later(
                message + self._counting, seconds=BUSY_SECONDS, status=_TOO_MANY_REQUESTS
            )
        self._in_progress.update(callers)
        try:
            yield
        finally:
            self._in_progress.subtract(callers)
            for caller in callers:
                if not self._in_progress[caller]:
                    del self._in_progress[caller]


def callers_of(holder: KeyHolder) -> Sequence[str]:
    """Return as whom a key's requests count: its operators, which may have further keys.

    A key that may name any operator counts by itself.
    """
    if not holder.operators:
        return [f"publisher {holder.name}"]
    return [f"operator {code}" for code in holder.operators]
