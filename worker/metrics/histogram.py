"""The buckets of our histograms, and a histogram that takes a whole batch at once.

The library's `Histogram` takes a lock for each value; where values come one at a time, use that.
"""

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
CALL_SECONDS: Final = (*SECONDS, 20.0, 30.0, 60.0)  # to the longest timeout of a partner
LONG_SECONDS: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
SIZES: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0)


class BatchHistogram(Collector):
    """Counts values into *buckets*, separately for each value of *label*."""

    def __init__(
        self,
        name: str,
        documentation: str,
        *,
        buckets: Sequence[float],
        label: str,
        registry: CollectorRegistry,
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._buckets = tuple(buckets)
        self._label = label
        self._lock = threading.Lock()
        self._series: dict[str, tuple[list[int], list[float]]] = {}
        registry.register(self)

    def expect(self, label_value: str) -> None:
        """Export *label_value* from now on, also while no value was observed."""
        with self._lock:
            self._of(label_value)

    def observe(self, values: Iterable[float], label_value: str) -> None:
        """Count *values*."""
        places = [(bisect_left(self._buckets, value), value) for value in values]
        with self._lock:
            counts, total = self._of(label_value)
            for place, value in places:
                counts[place] += 1
                total[0] += value

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Return what was counted so far."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=[self._label])
        with self._lock:
            series = [
                (key, list(counts), total[0]) for key, (counts, total) in self._series.items()
            ]
        names = [*(f"{bound:g}" for bound in self._buckets), "+Inf"]
        for key, counts, total in series:
            buckets = list(zip(names, accumulate(counts), strict=True))
            family.add_metric([key], buckets=buckets, sum_value=total)
        yield family

    def _of(self, label_value: str) -> tuple[list[int], list[float]]:
        if label_value not in self._series:
            self._series[label_value] = ([0] * (len(self._buckets) + 1), [0.0])
        return self._series[label_value]
