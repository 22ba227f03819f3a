"""Starts runs of the delivery loop without Celery: at a wakeup, and while none arrives.

A wakeup during a run makes that one poll again. Without Redis no wakeup arrives, and no task of the
schedule: then a run starts once the last has ended for longer than a scheduled wakeup ever takes.
"""

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from worker.delivery.loop import DeliveryLoop

log = logging.getLogger(__name__)

IDLE_MAX: Final = timedelta(seconds=1.5)  # the schedule sends a wakeup once a second
# After a run that left more to do, a wakeup was sent and is given this long; another deliverer may
# take it. Without Redis it never comes, and so short a pause once in 20 s does not matter.
HANDOVER: Final = timedelta(milliseconds=200)
_CHECK_INTERVAL: Final = timedelta(milliseconds=100)
_AFTER_FAILURE: Final = timedelta(seconds=5)
_CLOSING_MAX: Final = timedelta(seconds=30)  # for the calls of a run that is ending


class RunStarter:
    """Runs *loop* when woken, and when nothing else does, until closed. Never two runs at once."""

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
        self._woken = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="runs", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Have the loop poll at once, in its present run or a new one. Never waits. Any thread."""
        if not self._loop.wake():
            self._woken.set()

    def close(self) -> None:
        """Start no more runs, and wait for one that is going on; `DeliveryLoop.stop` ends it."""
        self._closed.set()
        self._woken.set()
        self._thread.join(_CLOSING_MAX.total_seconds())

    def _work(self) -> None:
        while self._is_due():
            try:
                run = self._loop.run(lasting=self._lasting)
            except Exception:
                log.exception("delivery_run_failed")
                self._closed.wait(_AFTER_FAILURE.total_seconds())
                continue
            if run is not None and run.more:
                self._wakeup()

    def _is_due(self) -> bool:
        """Wait until a run is due. Returns False when closed."""
        while not self._closed.is_set():
            woken = self._woken.wait(_CHECK_INTERVAL.total_seconds())
            self._woken.clear()  # before the run, so a wakeup during it counts
            if self._closed.is_set():
                break
            idle_max = HANDOVER if self._loop.left_more else self._idle_max
            if woken or self._loop.idle_for() >= idle_max:
                return True
        return False
