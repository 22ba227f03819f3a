"""The scheduler of beat: in memory, and it sends nothing to a queue that no worker reads."""

import logging
from enum import StrEnum
from typing import Any, Final

from celery import beat
from kombu.messaging import Producer
from prometheus_client import CollectorRegistry, Counter, Gauge

from models.telemetry.metrics import new_registry
from worker.celery.wakeup import is_waiting
from worker.process.health import probes
from worker.process.outage import Outage, reason_of

log = logging.getLogger(__name__)

PROCESS: Final = "beat"
TASKS: Final = ("deliver", "sweep")


class SendOutcome(StrEnum):
    """What happened to a scheduled task."""

    SENT = "sent"
    WAITING = "waiting"  # one is in the queue already: no worker reads it, or none is fast enough
    FAILED = "failed"  # the broker was unavailable


class BeatMetrics:
    """Counts scheduled tasks, and shows when beat last looked at its schedule."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._tasks = Counter(
            "slipway_scheduled_tasks",
            "Tasks of the schedule, by what happened to them.",
            ["task", "outcome"],
            registry=registry,
        )
        for task in TASKS:
            for outcome in SendOutcome:
                self._tasks.labels(task, outcome)
        self._ticked = Gauge(
            "slipway_beat_tick_timestamp_seconds",
            "When beat last looked at its schedule.",
            registry=registry,
        )

    def scheduled(self, task: str, outcome: SendOutcome) -> None:
        """Count one task."""
        self._tasks.labels(task, outcome).inc()

    def ticked(self) -> None:
        """Record that beat has just looked at its schedule."""
        self._ticked.set_to_current_time()


class WakeupScheduler(beat.Scheduler):  # type: ignore[misc]  # Celery carries no types
    """Celery's plain scheduler, which keeps no file: what a restart forgets is seconds old.

    Two of them are harmless: they send wakeups, and what a wakeup starts may run twice.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - Celery's signature
        """Take the arguments of Celery's own."""
        self._outages: dict[str, Outage] = {}  # first: Celery's own constructor may send
        self.metrics = BeatMetrics(new_registry(PROCESS))
        super().__init__(*arguments, **named)

    def tick(self) -> float:
        """Send what is due; show that this process is alive."""
        pause: float = super().tick()
        probes(PROCESS).alive()
        self.metrics.ticked()
        return pause

    def apply_entry(self, entry: beat.ScheduleEntry, producer: Producer | None = None) -> None:
        """Send one wakeup, unless one is waiting: without workers a list must not grow for days.

        (`expires` would take effect only when a worker takes the message, and by that worker's
        clock.) A failure is logged when it begins and when it is over; Celery's own scheduler
        writes two stacks every second.
        """
        queue = self.app.conf.task_routes[entry.task]["queue"]
        try:
            waiting = is_waiting(self.app, queue)
            if not waiting:
                self.apply_async(entry, producer=producer, advance=False)
        except Exception as error:  # noqa: BLE001 - whatever it is, beat must tick on
            self._outage_of(entry.task).failed(reason_of(error))
            self.metrics.scheduled(entry.task, SendOutcome.FAILED)
        else:
            self._outage_of(entry.task).over()
            outcome = SendOutcome.WAITING if waiting else SendOutcome.SENT
            self.metrics.scheduled(entry.task, outcome)

    def _outage_of(self, task: str) -> Outage:
        if task not in self._outages:
            began, ended = "scheduled_task_not_sent", "scheduled_tasks_sent_again"
            self._outages[task] = Outage(log, began, ended, task=task)
        return self._outages[task]
