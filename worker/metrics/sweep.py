"""What a sweep counts: once for each round."""

from datetime import timedelta

from prometheus_client import CollectorRegistry, Counter

from worker.metrics.histogram import LONG_SECONDS, Histogram
from worker.sweep.round import Swept


class SweepMetrics:
    """Counts rounds and what they did in the clock's name."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._swept = Counter(
            "slipway_sweep_changes",
            "What rounds of the sweep did: closed tickets, ended windows, gave up creates, removed"
            " old tickets.",
            ["change"],
            registry=registry,
        )
        for change in ("closed", "windows_ended", "creates_abandoned", "forgotten"):
            self._swept.labels(change)
        self._rounds = Counter(
            "slipway_sweep_rounds",
            "Rounds of the sweep; without a watermark nothing closes.",
            ["watermark"],
            registry=registry,
        )
        for watermark in ("known", "unknown"):
            self._rounds.labels(watermark)
        self._seconds = Histogram(
            "slipway_sweep_duration_seconds",
            "Time a round of the sweep took.",
            bounds=LONG_SECONDS,
            registry=registry,
        )

    def swept(self, swept: Swept, *, took: timedelta) -> None:
        """Count one round in."""
        self._rounds.labels("unknown" if swept.horizon is None else "known").inc()
        self._swept.labels("closed").inc(swept.closed)
        self._swept.labels("windows_ended").inc(swept.windows_ended)
        self._swept.labels("creates_abandoned").inc(swept.creates_abandoned)
        self._swept.labels("forgotten").inc(swept.forgotten)
        self._seconds.observe([took.total_seconds()])
