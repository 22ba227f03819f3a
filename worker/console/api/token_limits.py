"""How much one API token may ask of this process, so that no program leaves nothing to people."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from worker.console.api.errors import BUSY_SECONDS, ApiRefused, retry_later

_TOKENS_MAX: Final = 10_000  # that are remembered: as many as can be listed


@dataclass(slots=True)
class _Use:
    """What a token is using: requests in progress, and what is left of its burst."""

    in_progress: int
    left: float
    at: float


class TokenLimits:
    """Limits the requests of each token: at once, and a second. Used on the event loop alone."""

    def __init__(
        self,
        *,
        at_once: int,
        rate: float,
        burst: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Allow *at_once* requests in progress, *rate* a second, and *burst* without a pause."""
        self._at_once = at_once
        self._rate = rate
        self._burst = burst
        self._monotonic = monotonic
        self._uses: dict[int, _Use] = {}

    @contextmanager
    def one_request(self, token: int) -> Iterator[None]:
        """Count a request of *token* while it is in progress. Raises ApiRefused (429)."""
        use = self._use(token)
        if use.in_progress >= self._at_once:
            raise _too_many(f"this token has {self._at_once} requests in progress already")
        if use.left < 1:
            raise _too_many(f"this token may send {self._rate:g} requests a second")
        use.left -= 1
        use.in_progress += 1
        try:
            yield
        finally:
            use.in_progress -= 1

    def _use(self, token: int) -> _Use:
        now = self._monotonic()
        use = self._uses.get(token)
        if use is None:
            self._forget_idle()
            use = self._uses[token] = _Use(0, self._burst, now)
        use.left = min(self._burst, use.left + (now - use.at) * self._rate)
        use.at = now
        return use

    def _forget_idle(self) -> None:
        if len(self._uses) >= _TOKENS_MAX:
            self._uses = {key: use for key, use in self._uses.items() if use.in_progress}


def _too_many(why: str) -> ApiRefused:
    return retry_later(
        f"{why}; nothing was done, retry later",
        seconds=BUSY_SECONDS,
        status=HTTPStatus.TOO_MANY_REQUESTS,
    )
