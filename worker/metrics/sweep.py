"""The metrics of a sweep, updated once for each round."""

from datetime import timedelta
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from worker.metrics.histogram import LONG_SECONDS
from worker.sweep.round import SweepResult

_CHANGES: Final = (
    "closed",
    "windows_ended",
    "creates_abandoned",
    "partner_ended",
    "forgotten",
    "bodies_removed",
)


class SweepMetrics:
    """Counts rounds and what they changed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._changes = Counter(
            "slipway_sweep_changes",
            "Tickets closed, windows ended, creates abandoned, tickets ended with their"
            " partnership, old tickets removed, tickets whose bodies were removed by a sweep.",
            ["change"],
            registry=registry,
        )
        for change in _CHANGES:
            self._changes.labels(change)
        self._rounds = Counter(
            "slipway_sweep_rounds",
            "Rounds of the sweep; without a watermark nothing closes.",
            ["watermark"],
            registry=registry,
        )
        for watermark in ("known", "unknown"):
            self._rounds.labels(watermark)
        self._duration = Histogram(
            "slipway_sweep_duration_seconds",
            "Duration of a round of the sweep.",
            buckets=LONG_SECONDS,
            registry=registry,
        )

    def swept(self, result: SweepResult, *, took: timedelta) -> None:
        """Count one round."""
        self._rounds.labels("unknown" if result.watermark is None else "known").inc()
        self._changes.labels("closed").inc(result.closed)
        self._changes.labels("windows_ended").inc(result.windows_ended)
        self._changes.labels("creates_abandoned").inc(result.creates_abandoned)
        self._changes.labels("partner_ended").inc(result.ended_with_partner)
        self._changes.labels("forgotten").inc(result.forgotten)
        self._changes.labels("bodies_removed").inc(result.bodies_removed)
        self._duration.observe(took.total_seconds())
