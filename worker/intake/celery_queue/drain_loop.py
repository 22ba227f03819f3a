"""Keeps the queue `tickets` empty, in a thread of the intake.

A thread and a connection of its own: while a chunk is applied, or the database is away, messages
still reach the stream, where a rollback counts from.
"""

import logging
from datetime import timedelta
from threading import Event
from typing import Final

from redis.exceptions import RedisError

from models.platform.backoff import Backoff
from worker.intake.celery_queue.drain import CeleryQueue
from worker.process.outage import Outage, reason_of

log = logging.getLogger(__name__)

INTERVAL: Final = timedelta(milliseconds=50)  # what the way over the queue costs a message at most


class QueueDrain:
    """Moves what waits, every 50 ms, at once again while there is more. Never gives up."""

    def __init__(self, door: CeleryQueue, *, interval: timedelta = INTERVAL) -> None:
        """Prepare; nothing is asked before `run`."""
        self._door = door
        self._interval = interval
        self._pauses = Backoff()
        self._outage = Outage(log, "door_waits_for_redis", "door_reaches_redis")

    def run(self, stop: Event) -> None:
        """Work until *stop*. Raises nothing."""
        while not stop.is_set():
            stop.wait(self._turn().total_seconds())

    def _turn(self) -> timedelta:
        """Move once; how long to wait before the next time."""
        try:
            moved = self._door.empty()
        except RedisError as error:
            return self._refused(reason_of(error))
        except Exception:
            log.exception("door_failed")
            return self._pauses.next()
        if moved.trouble is not None:
            return self._refused(moved.trouble)
        self._pauses.reset()
        self._outage.over()
        return timedelta() if moved.left else self._interval

    def _refused(self, trouble: str) -> timedelta:
        self._outage.failed(trouble)
        return self._pauses.next()
