"""The scheduler of beat: in memory, and it sends nothing to a queue that nobody empties."""

import logging
from typing import Any

from celery import beat
from kombu.messaging import Producer

from worker.celery.beat_metrics import Hinted, beat_metrics
from worker.celery.wakeup import is_waiting
from worker.process import health
from worker.process.outage import Outage, reason_of

log = logging.getLogger(__name__)


class HintScheduler(beat.Scheduler):  # type: ignore[misc]  # Celery carries no types
    """Celery's plain scheduler, which keeps no file: what a restart forgets is seconds old.

    Two of them are harmless: they send hints, and what a hint starts may run twice.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - Celery's signature
        """As Celery makes one."""
        self._outages: dict[str, Outage] = {}  # first: Celery's own sets up and may send
        super().__init__(*arguments, **named)

    def tick(self) -> float:
        """Do what is due; show that this process is alive."""
        pause: float = super().tick()
        health.probes("beat").alive()
        beat_metrics().ticked()
        return pause

    def apply_entry(self, entry: beat.ScheduleEntry, producer: Producer | None = None) -> None:
        """Send one hint, unless one is waiting: without workers a list must not grow for days.

        (`expires` would do that only when somebody takes it, and by that one's clock.) One that
        cannot be sent is logged when that begins and when it is over, where Celery's own scheduler
        writes two stacks every second.
        """
        queue = self.app.conf.task_routes[entry.task]["queue"]
        try:
            waiting = is_waiting(self.app, queue)
            if not waiting:
                self.apply_async(entry, producer=producer, advance=False)
        except Exception as error:  # noqa: BLE001 - whatever it is, beat must tick on
            self._outage_of(entry.task).failed(reason_of(error))
            beat_metrics().hinted(entry.task, Hinted.FAILED)
        else:
            self._outage_of(entry.task).over()
            beat_metrics().hinted(entry.task, Hinted.WAITING if waiting else Hinted.SENT)

    def _outage_of(self, task: str) -> Outage:
        if task not in self._outages:
            began, ended = "scheduled_hint_not_sent", "scheduled_hints_sent_again"
            self._outages[task] = Outage(log, began, ended, task=task)
        return self._outages[task]
