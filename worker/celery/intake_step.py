"""The intake's place in a Celery worker: a few threads, where the queue `intake` is consumed."""

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from celery import bootsteps
from celery.exceptions import ImproperlyConfigured
from celery.worker import WorkController

from models.events.event import Entry
from models.intake.apply import Applied, Opened, apply_opened, open_entries
from worker.celery import dependencies as wiring
from worker.celery.configuration import INTAKE_QUEUE
from worker.intake.celery_queue.drain import CeleryQueue
from worker.intake.celery_queue.drain_loop import QueueDrain
from worker.intake.loop import Batch, Intake, IntakeConfig
from worker.intake.reports import BatchReports
from worker.intake.stream import Stream, consumer_name
from worker.process import health

Report = Callable[[Batch], None]
_FINISHING_MAX: Final = timedelta(seconds=30)  # the chunks in hand; each statement has a limit


class StreamIntake(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery carries no types
    """Starts the intake with the worker and stops it with SIGTERM, after the chunks in hand."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: WorkController, **_newer: object) -> None:
        """Prepare; nothing is connected before `start`."""
        super().__init__(worker)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._reports: BatchReports | None = None

    def include_if(self, worker: WorkController) -> bool:
        """Say whether this worker is an intake. Raises ImproperlyConfigured on a forking pool."""
        if INTAKE_QUEUE not in worker.app.amqp.queues.consume_from:
            return False
        if worker.pool_cls.__module__ == "celery.concurrency.prefork":
            raise ImproperlyConfigured(
                "the intake is a thread, and children must not be forked from a process with"
                " threads: start this worker with -P threads (see Procfile)"
            )
        return True

    def start(self, worker: WorkController) -> None:
        """Begin to read the stream; a server that is away is waited for in the thread."""
        settings = wiring.settings()
        self._reports = BatchReports(worker.app, worker=worker.hostname)
        self._reports.start()
        intake = Intake(
            source=Stream(
                # No repetition inside redis-py: a repeated read could strand what the first got.
                wiring.open_redis(settings.redis_url, retries=0),
                consumer=consumer_name(),
            ),
            unpack=_unpack,
            apply=_apply,
            pace=IntakeConfig(
                chunk_size=settings.chunk_size,
                block=settings.intake_block,
                claim_idle=settings.claim_idle,
            ),
            notices_due=wiring.hints().notices_due,
            report=_both(self._reports.add, wiring.intake_metrics().applied),
            alive=health.probes(f"{worker.hostname}.stream").alive,
        )
        keeper = QueueDrain(CeleryQueue(wiring.open_redis(settings.redis_url, retries=0)))
        self._threads = [
            threading.Thread(target=run, args=(self._stop,), name=name, daemon=True)
            for name, run in (("intake", intake.run), ("door", keeper.run))
        ]
        for thread in self._threads:
            thread.start()

    def stop(self, worker: WorkController) -> None:  # noqa: ARG002 - Celery's signature
        """Finish the chunks in hand and end."""
        self._stop.set()
        for thread in self._threads:
            thread.join(_FINISHING_MAX.total_seconds())
        if self._reports is not None:
            self._reports.close()
        wiring.hints().close()

    terminate = stop  # cold or warm: what is cut off is done once more by another process


def _both(first: Report, second: Report) -> Report:
    """Tell both of each batch."""

    def report(batch: Batch) -> None:
        first(batch)
        second(batch)

    return report


def _unpack(entries: Sequence[Entry]) -> Opened:
    return open_entries(entries, event_age_max=wiring.settings().event_age_max)


def _apply(opened: Opened, *, apart: bool = False) -> Applied:
    return apply_opened(
        wiring.engine().begin,
        opened,
        clock=wiring.clock(),
        parking_window=wiring.settings().parking_window,
        apart=apart,
    )
