"""Exports ended spans in a thread of its own, from a bounded queue: nobody ever waits for it."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

log = logging.getLogger(__name__)

SPANS_DROPPED: Final = "spans_dropped"
CLOSING_SECONDS: Final = 3.0  # that the end of a process may wait for its last spans
_SECONDS_BETWEEN: Final = 60.0  # two lines of the log

Item = TypeVar("Item")


class ExportQueue(Generic[Item]):
    """Exports what is added, in batches. What finds the queue full is dropped and counted."""

    def __init__(
        self,
        export: Callable[[Sequence[Item]], bool],
        *,
        size: int,
        batch: int,
        delay: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """*export* returns whether the receiver took them; it may take its time, and raise."""
        self._export = export
        self._size = size
        self._batch = min(batch, size)
        self._delay = delay
        self._monotonic = monotonic
        self._waiting: deque[Item] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._dropped = 0
        self._next_line_at = monotonic()
        self._thread = threading.Thread(target=self._run, name="span-export", daemon=True)
        self._thread.start()

    def add(self, item: Item) -> None:
        """Add *item*, or drop it. Never waits."""
        with self._changed:
            if len(self._waiting) >= self._size or self._closing:
                self._dropped += 1
                return
            self._waiting.append(item)
            if len(self._waiting) == self._batch:
                self._changed.notify()

    def close(self, seconds: float = CLOSING_SECONDS) -> None:
        """Export what waits, for some *seconds* at most; the rest is lost."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._has_batch, timeout=self._delay)
                count = min(len(self._waiting), self._batch)
                items = [self._waiting.popleft() for _ in range(count)]
                ends = self._closing and not self._waiting
            lost = len(items) if items and not self._exported(items) else 0
            self._report(lost)
            if ends:
                return

    def _has_batch(self) -> bool:
        return self._closing or len(self._waiting) >= self._batch

    def _exported(self, items: Sequence[Item]) -> bool:
        try:
            return self._export(items)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next batch is tried
            log.debug("span_export_failed", extra={"error": type(error).__name__})
            return False

    def _report(self, lost: int) -> None:
        """Log how many spans were lost: not taken by the receiver, or dropped from a full queue."""
        with self._changed:
            self._dropped += lost
            now = self._monotonic()
            if not self._dropped or (now < self._next_line_at and not self._closing):
                return
            dropped, self._dropped = self._dropped, 0
            self._next_line_at = now + _SECONDS_BETWEEN
        problem = "the receiver did not take them, or the queue was full; nothing else is affected"
        log.warning(SPANS_DROPPED, extra={"count": dropped, "problem": problem})
