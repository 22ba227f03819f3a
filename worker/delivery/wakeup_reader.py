"""Reads the wakeups that come without Celery: a list on the broker's Redis, one blocking command.

A task takes longer, and more of the processor (see the figures in tests/load/README.md). A wakeup
that is lost costs a second: the schedule sends a task that often.
"""

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from redis import Redis

from models.platform.backoff import Backoff
from worker.process.outage import Outage, reason_of
from worker.process.queues import WAKEUPS

log = logging.getLogger(__name__)

BLOCK: Final = timedelta(seconds=2)  # below the client's own limit of 5 s
_CLOSING_TRIES: Final = 20
_CLOSING_INTERVAL: Final = timedelta(milliseconds=100)


class WakeupReader:
    """Calls *wake* for each wakeup that this process takes, in a thread of its own."""

    def __init__(self, redis: Redis, *, wake: Callable[[], None]) -> None:
        """Prepare; nothing is connected before `start`. *wake* must neither block nor raise."""
        self._redis = redis
        self._wake = wake
        self._closed = threading.Event()
        self._outage = Outage(log, "wakeups_not_read", "wakeups_read_again")
        self._thread = threading.Thread(target=self._run, name="wakeup reader", daemon=True)

    def start(self) -> None:
        """Start the thread. It waits for a server that is unavailable."""
        self._thread.start()

    def close(self) -> None:
        """Take no more wakeups, and end the thread."""
        self._closed.set()
        for _ in range(_CLOSING_TRIES):  # it may be about to connect
            self._redis.connection_pool.disconnect()  # ends the command that waits
            self._thread.join(_CLOSING_INTERVAL.total_seconds())
            if not self._thread.is_alive():
                break

    def _run(self) -> None:
        backoff = Backoff()
        while not self._closed.is_set():
            try:
                taken = self._redis.brpop([WAKEUPS], timeout=BLOCK.total_seconds())
            except Exception as error:  # noqa: BLE001 - redis-py raises a TypeError, too, if closed meanwhile
                if self._closed.is_set():
                    return
                self._outage.failed(reason_of(error))
                self._closed.wait(backoff.next().total_seconds())
                continue
            self._outage.over()
            backoff.reset()
            if taken:
                self._wake()
