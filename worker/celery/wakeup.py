"""Wakes the delivery processes when a notice is due. A wakeup may get lost.

It is an element of a list that each delivery process waits at. Celery's message takes longer to
the first line of its task; it is sent where nobody has taken the wakeup before, because no process
reads the list.

A thread of its own sends wakeups. So a broker that hangs never delays the intake, and a wakeup that
comes too soon after the last one is sent when the interval is over instead of being dropped: its
notice may have been committed after the delivery process polled.
"""

import logging
import threading
from datetime import timedelta
from typing import Final

from celery import Celery
from redis import Redis
from redis.exceptions import ResponseError

from worker.process.outage import Outage, reason_of
from worker.process.queues import DELIVER_QUEUE, WAKEUPS

log = logging.getLogger(__name__)

_AFTER_FAILURE: Final = timedelta(seconds=1)  # the schedule wakes them once a second anyway
_CLOSING_MAX: Final = timedelta(seconds=2)
# One element at most: who takes it sees all that is due by then. It is small and lets Redis free
# memory, so Redis' memory limit does not apply to it.
_PUSH: Final = """#!lua flags=allow-oom
local untaken = redis.call('LLEN', KEYS[1])
if untaken == 0 then redis.call('LPUSH', KEYS[1], '1') end
return untaken
"""


def is_waiting(app: Celery, queue: str) -> bool:
    """Return whether *queue* holds a message that no worker has taken. One round trip.

    The worker that takes it will see everything that is committed by now, so another wakeup would
    add nothing; and without workers, wakeups do not accumulate. Raises what the broker's connection
    raises.
    """
    with app.producer_or_acquire() as producer:
        return bool(producer.channel.queue_declare(queue=queue).message_count)


class Wakeup:
    """Wakes one delivery process, at most once per *interval*. Safe to call from any thread."""

    def __init__(self, app: Celery, interval: timedelta, *, redis: Redis) -> None:
        """Prepare; the thread starts with the first wakeup. *redis* is the broker's."""
        self._app = app
        self._push = redis.register_script(_PUSH)
        self._interval = interval.total_seconds()
        self._pending = threading.Event()
        self._closed = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._outage = Outage(log, "wakeup_not_sent", "wakeups_sent_again")

    def notify(self) -> None:
        """Wake a delivery process soon. Returns at once, raises nothing; call it after COMMIT."""
        self._pending.set()
        if self._thread is None:
            self._start()

    def close(self) -> None:
        """End the thread; a wakeup that is still pending is sent first, if the broker permits."""
        self._closed.set()
        self._pending.set()
        if self._thread is not None:
            self._thread.join(_CLOSING_MAX.total_seconds())

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="wakeups", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._closed.is_set():
            self._pending.wait()
            self._pending.clear()
            self._closed.wait(self._interval if self._send() else _AFTER_FAILURE.total_seconds())

    def _send(self) -> bool:
        try:
            if not self._is_taken() and not is_waiting(self._app, DELIVER_QUEUE):
                self._app.send_task("deliver", ignore_result=True)
        except Exception as error:  # noqa: BLE001 - a wakeup may get lost, its thread must survive
            self._outage.failed(reason_of(error))
            return False
        self._outage.over()
        return True

    def _is_taken(self) -> bool:
        """Put a wakeup on the list. Returns False if the one before is still there."""
        try:
            return not self._push([WAKEUPS])
        except ResponseError:  # a key of another type; what is wrong with Redis Celery finds, too
            return False
