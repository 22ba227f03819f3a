"""The metrics that every process exports about itself, whatever it does."""

import platform
from collections.abc import Iterator
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from models.platform.version import version
from models.telemetry.logs import LOG_COUNTS

# The series of an alert must exist before its event happens: an increase starts at 0.
ALARMED_EVENTS: Final = (
    *(
        ("error", event)
        for event in (
            "attempt_not_recorded",
            "delivery_run_failed",
            "celery_queue_drain_failed",
            "event_refused_as_poison",
            "http_loop_failed",
            "intake_failed",
            "parked_events_given_up",
            "request_build_failed",
            "request_failed",
            "response_not_read",
            "results_not_recorded",
            "ticket_left_as_it_is",
        )
    ),
    ("warning", "celery_queue_not_drained"),
    ("warning", "unexplained_database_error"),
)


def new_registry(process: str) -> CollectorRegistry:
    """Return the registry of this process, which is named by what it does: `intake`, `gateway`."""
    # Nobody needs the time when a counter was created, and it doubles the series.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # it has none
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(_Build(process))
    registry.register(_LogLines())
    return registry


class _Build(Collector):
    """The program's version, and the kind of process."""

    def __init__(self, process: str) -> None:
        self._labels = {
            "version": version(),
            "process": process,
            "python": platform.python_version(),
        }

    def collect(self) -> Iterator[InfoMetricFamily]:
        yield InfoMetricFamily("slipway_build", "Version and kind of process.", value=self._labels)


class _LogLines(Collector):
    """The number of log lines of WARNING and above."""

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(
            "slipway_log_lines",
            "Lines of WARNING and above, by level and event.",
            labels=["level", "event"],
        )
        counts = dict.fromkeys(ALARMED_EVENTS, 0) | LOG_COUNTS.counts()
        for (level, event), count in sorted(counts.items()):
            family.add_metric([level, event], count)
        yield family
