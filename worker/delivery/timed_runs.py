"""Deliveries without hints: while Redis is away no task starts a run, so this thread does.

It starts one when the last has ended for longer than a hint ever takes. While hints arrive it
starts none, runs no query and costs nothing.
"""

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from worker.delivery.loop import DeliveryLoop

log = logging.getLogger(__name__)

IDLE_MAX: Final = timedelta(seconds=1.5)  # the schedule hints once a second
# After a run that left more to do, a hint was sent and is given this long: a run in a task is seen
# in Flower. Without Redis it never comes, and a pause this short once in 20 s is not felt.
HANDOVER: Final = timedelta(milliseconds=200)
_LOOK: Final = timedelta(milliseconds=100)
_AFTER_FAILURE: Final = timedelta(seconds=5)
_CLOSING_MAX: Final = timedelta(seconds=30)  # the calls of a run that is ending


class TimedRuns:
    """Runs *courier* when nothing else does, until closed. Never two runs at once."""

    def __init__(
        self,
        courier: DeliveryLoop,
        *,
        hint: Callable[[], None],
        lasting: timedelta,
        idle_max: timedelta = IDLE_MAX,
    ) -> None:
        """Prepare. *hint* must neither block nor raise; a run takes about as long as *lasting*."""
        self._courier = courier
        self._hint = hint
        self._lasting = lasting
        self._idle_max = idle_max
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="unhinted runs", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def close(self) -> None:
        """Start no run any more, and wait for one that is going on; `Courier.stop` ends it."""
        self._closed.set()
        self._thread.join(_CLOSING_MAX.total_seconds())

    def _work(self) -> None:
        while not self._closed.wait(_LOOK.total_seconds()):
            idle_max = HANDOVER if self._courier.left_more else self._idle_max
            if self._courier.idle_for() < idle_max:
                continue
            try:
                run = self._courier.run(lasting=self._lasting)
            except Exception:
                log.exception("delivery_run_failed")
                self._closed.wait(_AFTER_FAILURE.total_seconds())
                continue
            if run is not None and run.more:
                self._hint()
