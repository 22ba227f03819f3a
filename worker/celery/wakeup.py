"""Telling the deliverers that a notice is due: a Celery message that may get lost without harm.

Hints are sent by a thread of their own. So a broker that hangs never holds up the intake, and a
hint that came too soon after the last one is sent when the interval is over instead of being
forgotten: its notice may have been committed after the deliverer looked.
"""

import logging
import threading
from datetime import timedelta
from typing import Final

from celery import Celery

from worker.process.outage import Outage, reason_of
from worker.process.queues import DELIVER_QUEUE

log = logging.getLogger(__name__)

_AFTER_FAILURE: Final = timedelta(seconds=1)  # the schedule hints once a second anyway
_CLOSING_MAX: Final = timedelta(seconds=2)


def is_waiting(app: Celery, queue: str) -> bool:
    """Say whether *queue* holds a message that nobody has taken yet. One round trip.

    Whoever takes it will see all that is committed by now, so another hint would say nothing new;
    and while no worker is there, hints do not pile up. Raises what the broker's connection raises.
    """
    with app.producer_or_acquire() as producer:
        return bool(producer.channel.queue_declare(queue=queue).message_count)


class Wakeup:
    """Sends the task `deliver`, at most once per *interval*. Safe to call from any thread."""

    def __init__(self, app: Celery, interval: timedelta) -> None:
        """Prepare; the thread starts with the first hint."""
        self._app = app
        self._interval = interval.total_seconds()
        self._wanted = threading.Event()
        self._closed = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._outage = Outage(log, "wakeup_not_sent", "wakeups_sent_again")

    def notify(self) -> None:
        """Wake a deliverer soon. Returns at once and raises nothing; call it after the commit."""
        self._wanted.set()
        if self._thread is None:
            self._start()

    def close(self) -> None:
        """End the thread; a hint still wanted is sent first, if the broker lets it."""
        self._closed.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(_CLOSING_MAX.total_seconds())

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="hints", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._closed.is_set():
            self._wanted.wait()
            self._wanted.clear()
            self._closed.wait(self._interval if self._send() else _AFTER_FAILURE.total_seconds())

    def _send(self) -> bool:
        try:
            if not is_waiting(self._app, DELIVER_QUEUE):
                self._app.send_task("deliver", ignore_result=True)
        except Exception as error:  # noqa: BLE001 - a hint may get lost, its sender must not
            self._outage.failed(reason_of(error))
            return False
        self._outage.over()
        return True
