"""Runs of the delivery loop without wakeups: while Redis is unavailable, no task starts a run.

This thread starts one once the last has ended for longer than a wakeup ever takes. While wakeups
arrive it starts none, runs no query and costs nothing.
"""

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from worker.delivery.loop import DeliveryLoop

log = logging.getLogger(__name__)

IDLE_MAX: Final = timedelta(seconds=1.5)  # the schedule sends a wakeup once a second
# After a run that left more to do, a wakeup was sent and is given this long: Flower shows runs in
# tasks. Without Redis it never comes, and so short a pause once in 20 s does not matter.
HANDOVER: Final = timedelta(milliseconds=200)
_CHECK_INTERVAL: Final = timedelta(milliseconds=100)
_AFTER_FAILURE: Final = timedelta(seconds=5)
_CLOSING_MAX: Final = timedelta(seconds=30)  # for the calls of a run that is ending


class TimedRuns:
    """Runs *loop* when nothing else does, until closed. Never two runs at once."""

    def __init__(
        self,
        loop: DeliveryLoop,
        *,
        wakeup: Callable[[], None],
        lasting: timedelta,
        idle_max: timedelta = IDLE_MAX,
    ) -> None:
        """Prepare. *wakeup* must neither block nor raise; *lasting* is the time of a run."""
        self._loop = loop
        self._wakeup = wakeup
        self._lasting = lasting
        self._idle_max = idle_max
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="timed runs", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Start no more runs, and wait for one that is going on; `DeliveryLoop.stop` ends it."""
        self._closed.set()
        self._thread.join(_CLOSING_MAX.total_seconds())

    def _work(self) -> None:
        while not self._closed.wait(_CHECK_INTERVAL.total_seconds()):
            idle_max = HANDOVER if self._loop.left_more else self._idle_max
            if self._loop.idle_for() < idle_max:
                continue
            try:
                run = self._loop.run(lasting=self._lasting)
            except Exception:
                log.exception("delivery_run_failed")
                self._closed.wait(_AFTER_FAILURE.total_seconds())
                continue
            if run is not None and run.more:
                self._wakeup()
