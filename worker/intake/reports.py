"""Reports batches to Flower: task events named `intake`, at most ten a second.

They are sent by a thread and a connection of their own: a slow or unavailable broker never delays
the intake. Reports may get lost; they are for people, and counts that matter are metrics.
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

from worker.intake.loop import AppliedBatch

log = logging.getLogger(__name__)

NAME: Final = "intake"
INTERVAL: Final = timedelta(milliseconds=100)
_AFTER_FAILURE: Final = timedelta(seconds=5)
_CLOSING_MAX: Final = timedelta(seconds=2)


@dataclass(slots=True)
class BatchTotals:
    """The counts since the last report."""

    batches: int = 0
    entries: int = 0
    took: timedelta = timedelta()
    outcomes: Counter[str] = field(default_factory=Counter)

    def add(self, batch: AppliedBatch) -> None:
        """Count one batch."""
        self.batches += 1
        self.entries += batch.entries
        self.took += batch.took
        for (_action, outcome), count in batch.applied.outcomes.items():
            self.outcomes[outcome] += count

    def facts(self) -> dict[str, int]:
        """Return the counts as a task would; outcomes without a count are left out."""
        outcomes = {outcome: count for outcome, count in sorted(self.outcomes.items()) if count}
        return {"batches": self.batches, "entries": self.entries, **outcomes}


class BatchReports:
    """Collects batches and reports them as one finished task."""

    def __init__(self, app: Celery, *, worker: str) -> None:
        """Prepare reports in the name of *worker* (its node name); `start` begins to send."""
        self._app = app
        self._worker = worker
        self._lock = threading.Lock()
        self._totals = BatchTotals()
        self._pending = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reports", daemon=True)

    def start(self) -> None:
        """Start the thread that sends them."""
        self._thread.start()

    def add(self, batch: AppliedBatch) -> None:
        """Count *batch*. Returns at once and raises nothing."""
        with self._lock:
            self._totals.add(batch)
        self._pending.set()

    def close(self) -> None:
        """Send what is left, if the broker lets it, and end the thread."""
        self._closed.set()
        self._pending.set()
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
                        buffer_while_offline=False,  # a failure raises, and we connect again
                    ) as dispatcher,
                ):
                    while not last:
                        self._pending.wait()
                        self._pending.clear()
                        last = self._closed.is_set()
                        self._send(dispatcher)
                        self._closed.wait(INTERVAL.total_seconds())
            except Exception as error:  # noqa: BLE001 - reports are for people; the intake goes on
                log.warning("batch_report_lost", extra={"error": type(error).__name__})
                last = self._closed.wait(_AFTER_FAILURE.total_seconds())

    def _send(self, dispatcher: EventDispatcher) -> None:
        with self._lock:
            totals, self._totals = self._totals, BatchTotals()
        if not totals.batches:
            return
        uuid = str(uuid4())
        now = time.time()
        began = now - totals.took.total_seconds()
        dispatcher.send(
            "task-received",
            uuid=uuid,
            name=NAME,
            args="()",
            kwargs=f"{{'entries': {totals.entries}}}",
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
            result=repr(totals.facts()),
            runtime=totals.took.total_seconds(),
            timestamp=now,
        )
