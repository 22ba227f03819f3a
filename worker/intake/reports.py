"""Tells Flower about the batches: task events named `intake`, at most ten a second.

A thread and a connection of its own: a broker that is slow, or away, never holds up the intake.
Reports may get lost; they are for people, and counts that matter are metrics.
"""

import logging
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import uuid4

from celery import Celery
from celery.events import EventDispatcher

from worker.intake.loop import Batch

log = logging.getLogger(__name__)

NAME: Final = "intake"
INTERVAL: Final = timedelta(milliseconds=100)
_AFTER_FAILURE: Final = timedelta(seconds=5)
_CLOSING_MAX: Final = timedelta(seconds=2)


@dataclass(slots=True)
class BatchTotals:
    """What happened since the last report."""

    batches: int = 0
    entries: int = 0
    took: timedelta = timedelta()
    outcomes: Counter[str] = field(default_factory=Counter)

    def add(self, batch: Batch) -> None:
        """Count one batch in."""
        self.batches += 1
        self.entries += batch.entries
        self.took += batch.took
        for (_action, outcome), count in batch.applied.outcomes.items():
            self.outcomes[outcome] += count

    def facts(self) -> dict[str, int]:
        """Give the counts as a task would return them; an outcome without a count stays unnamed."""
        counted = {outcome: count for outcome, count in sorted(self.outcomes.items()) if count}
        return {"batches": self.batches, "entries": self.entries, **counted}


class BatchReports:
    """Gathers batches and sends them on as one finished task."""

    def __init__(self, app: Celery, *, worker: str) -> None:
        """Prepare reports in the name of *worker* (its node name); `start` begins to send."""
        self._app = app
        self._worker = worker
        self._lock = threading.Lock()
        self._tally = BatchTotals()
        self._wanted = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reports", daemon=True)

    def start(self) -> None:
        """Start the thread that sends."""
        self._thread.start()

    def add(self, batch: Batch) -> None:
        """Count *batch* in. Returns at once and raises nothing."""
        with self._lock:
            self._tally.add(batch)
        self._wanted.set()

    def close(self) -> None:
        """Send what is left, if the broker lets it, and end the thread."""
        self._closed.set()
        self._wanted.set()
        self._thread.join(_CLOSING_MAX.total_seconds())

    def _run(self) -> None:
        last = False
        while not last:
            try:
                with (
                    self._app.connection_for_write() as connection,
                    self._app.events.Dispatcher(
                        channel=connection.ensure_connection(max_retries=0).channel(),
                        hostname=self._worker,
                        buffer_while_offline=False,  # a failure shows, and we connect anew
                    ) as dispatcher,
                ):
                    while not last:
                        self._wanted.wait()
                        self._wanted.clear()
                        last = self._closed.is_set()
                        self._send(dispatcher)
                        self._closed.wait(INTERVAL.total_seconds())
            except Exception as error:  # noqa: BLE001 - reports are for people; the intake goes on
                log.warning("batch_report_lost", extra={"error": type(error).__name__})
                last = self._closed.wait(_AFTER_FAILURE.total_seconds())

    def _send(self, dispatcher: EventDispatcher) -> None:
        with self._lock:
            tally, self._tally = self._tally, BatchTotals()
        if not tally.batches:
            return
        uuid = str(uuid4())
        now = time.time()
        began = now - tally.took.total_seconds()
        dispatcher.send(
            "task-received",
            uuid=uuid,
            name=NAME,
            args="()",
            kwargs=f"{{'entries': {tally.entries}}}",
            root_id=uuid,
            parent_id=None,
            retries=0,
            eta=None,
            expires=None,
            timestamp=began,
        )
        dispatcher.send("task-started", uuid=uuid, timestamp=began)
        dispatcher.send(
            "task-succeeded",
            uuid=uuid,
            result=repr(tally.facts()),
            runtime=tally.took.total_seconds(),
            timestamp=now,
        )
