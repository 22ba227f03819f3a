"""What a delivery process counts: once for each batch of attempts that is recorded."""

from collections import Counter as Count
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from models.outbox.values import Attempt
from worker.delivery.summary_log import doubts, verdict_word
from worker.metrics.cardinality import LabelLimit
from worker.metrics.histogram import SECONDS, Histogram

VERDICTS: Final = ("delivered", "again", "unanswered", "dead")
ALARMING_DOUBTS: Final = (
    "balance_moved_otherwise",
    "ref_id_not_ours",
)  # money may have moved wrong


class DeliveryMetrics:
    """Counts attempts and the time they took, by operator. For one thread."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._attempts = Counter(
            "slipway_delivery_attempts",
            "Attempts to deliver a notice, by operator and verdict; recorded ones.",
            ["operator", "verdict"],
            registry=registry,
        )
        self._seconds = Histogram(
            "slipway_delivery_attempt_duration_seconds",
            "Time an attempt took, by operator: until the answer, or until there was none.",
            bounds=SECONDS,
            registry=registry,
            label="operator",
        )
        self._doubts = Counter(
            "slipway_delivery_doubtful_responses",
            "Successes that are odd, by operator and doubt.",
            ["operator", "doubt"],
            registry=registry,
        )
        self._standing = _UnusablePartners()
        registry.register(self._standing)
        self._bounded = LabelLimit()
        self._expected: set[str] = set()

    def recorded(self, attempts: Sequence[Attempt]) -> None:
        """Count *attempts* in."""
        verdicts: Count[tuple[str, str]] = Count()
        odd: Count[tuple[str, str]] = Count()
        seconds: defaultdict[str, list[float]] = defaultdict(list)
        for one in attempts:
            code = one.claim.operator_code
            verdicts[code, verdict_word(one)] += 1
            for doubt in doubts(one):
                odd[code, doubt] += 1
            if one.took:
                seconds[code].append(one.took.total_seconds())
        for (code, verdict), count in verdicts.items():
            self._expect(code)
            self._attempts.labels(self._bounded(code), verdict).inc(count)
        for (code, doubt), count in odd.items():
            self._doubts.labels(self._bounded(code), doubt).inc(count)
        for code, values in seconds.items():
            self._seconds.observe(values, self._bounded(code))

    def unusable(self, partners: Mapping[str, bool]) -> None:
        """Show from now on which of *partners*, by code, this process cannot send to."""
        self._standing.unusable = partners

    def _expect(self, operator: str) -> None:
        """Show all verdicts of *operator* from now on: a rate needs the zero it starts from."""
        shown = self._bounded(operator)
        if shown not in self._expected:
            self._expected.add(shown)
            self._seconds.expect(shown)
            for verdict in VERDICTS:
                self._attempts.labels(shown, verdict)
            for doubt in ALARMING_DOUBTS:
                self._doubts.labels(shown, doubt)


class _UnusablePartners(Collector):
    """Whom this process cannot send to, for as long as that is so; a log tells only changes."""

    def __init__(self) -> None:
        self.unusable: Mapping[str, bool] = {}  # replaced, never changed
        self._bounded = LabelLimit()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        shown: defaultdict[str, bool] = defaultdict(bool)
        for code, unusable in self.unusable.items():
            shown[self._bounded(code)] |= unusable
        family = GaugeMetricFamily(
            "slipway_partner_unusable",
            "1: its secret cannot be opened here, or its protocol is not spoken.",
            labels=["operator"],
        )
        for code, unusable in sorted(shown.items()):
            family.add_metric([code], unusable)
        yield family
