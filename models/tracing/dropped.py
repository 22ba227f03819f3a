"""Counts malformed traceparents, and says so once a minute: they may come with every event."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

TRACEPARENT_DROPPED: Final = "traceparent_dropped"
_SECONDS_BETWEEN: Final = 60.0


class DroppedTraceparents:
    """The malformed ones of one process. Safe to call from any thread."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._counting = threading.Lock()
        self._count = 0
        self._next_line_at: float | None = None

    def add(self, problem: str) -> None:
        """Count one; log how many there were since the last line, with the *problem* of this."""
        with self._counting:
            self._count += 1
            now = self._monotonic()
            if self._next_line_at is not None and now < self._next_line_at:
                return
            count, self._count = self._count, 0
            self._next_line_at = now + _SECONDS_BETWEEN
        log.warning(TRACEPARENT_DROPPED, extra={"count": count, "problem": problem})


DROPPED: Final = DroppedTraceparents()  # one per process, as the log that it writes to
