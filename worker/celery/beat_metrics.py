"""What beat counts, and the page on which it shows it."""

from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from typing import Final

from celery import signals
from prometheus_client import CollectorRegistry, Counter, Gauge

from models.settings.settings import read_settings
from models.telemetry.metrics import new_registry
from worker.metrics.server import MetricsServer
from worker.process import health

PROCESS: Final = "beat"
TASKS: Final = ("deliver", "sweep")


class Hinted(StrEnum):
    """What became of a scheduled hint."""

    SENT = "sent"
    WAITING = "waiting"  # one lies in the queue already: nobody takes them, or nobody is that fast
    FAILED = "failed"  # the broker could not be asked


class BeatMetrics:
    """Counts hints by task, and tells when beat ticked last."""

    def __init__(self, registry: CollectorRegistry, *, tasks: Iterable[str] = TASKS) -> None:
        self.registry = registry
        self._hints = Counter(
            "slipway_scheduled_tasks",
            "Hints of the schedule, by task and what became of them.",
            ["task", "outcome"],
            registry=registry,
        )
        for task in tasks:
            for outcome in Hinted:
                self._hints.labels(task, outcome)
        self._ticked = Gauge(
            "slipway_beat_tick_timestamp_seconds",
            "When beat last looked at its schedule.",
            registry=registry,
        )

    def hinted(self, task: str, outcome: Hinted) -> None:
        """Count one hint in."""
        self._hints.labels(task, outcome).inc()

    def ticked(self) -> None:
        """Note that beat looked at its schedule just now."""
        self._ticked.set_to_current_time()


@cache
def beat_metrics() -> BeatMetrics:
    """Give what this process counts as beat."""
    return BeatMetrics(new_registry(PROCESS))


def connect() -> None:
    """Have beat serve its metrics from its start on."""
    signals.beat_init.connect(serve, weak=False)  # nobody else holds it


def serve(**_newer: object) -> None:
    """Serve the metrics of beat until the process ends."""
    settings = read_settings()
    page = MetricsServer(beat_metrics().registry, probes=health.probes(PROCESS))
    page.open(address=settings.bind_address, port=settings.metrics_port)
