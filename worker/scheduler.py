"""The scheduler of beat: in memory, and it sends nothing to a queue that nobody empties."""

import logging

from celery import beat
from kombu.messaging import Producer

from worker import health
from worker.hints import is_waiting
from worker.metrics.beat import Hinted, beat_metrics

log = logging.getLogger(__name__)


class HintScheduler(beat.Scheduler):  # type: ignore[misc]  # Celery carries no types
    """Celery's plain scheduler, which keeps no file: what a restart forgets is seconds old.

    Two of them are harmless: they send hints, and what a hint starts may run twice.
    """

    def tick(self) -> float:
        """Do what is due; show that this process is alive."""
        pause: float = super().tick()
        health.probes("beat").alive()
        beat_metrics().ticked()
        return pause

    def apply_entry(self, entry: beat.ScheduleEntry, producer: Producer | None = None) -> None:
        """Send one hint, unless one is waiting: without workers a list must not grow for days.

        (`expires` would do that only when somebody takes it, and by that one's clock.) One that
        cannot be sent is logged in a line, where Celery's own scheduler writes two stacks every
        second.
        """
        queue = self.app.conf.task_routes[entry.task]["queue"]
        try:
            waiting = is_waiting(self.app, queue)
            if not waiting:
                self.apply_async(entry, producer=producer, advance=False)
        except Exception as error:  # noqa: BLE001 - whatever it is, beat must tick on
            facts = {"task": entry.task, "error": type(error).__name__}
            log.warning("scheduled_hint_not_sent", extra=facts)
            beat_metrics().hinted(entry.task, Hinted.FAILED)
        else:
            beat_metrics().hinted(entry.task, Hinted.WAITING if waiting else Hinted.SENT)
