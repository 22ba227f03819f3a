"""The metrics of a delivery process, updated once for each batch of recorded attempts."""

from collections import Counter as Count
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from models.outbox.values import Attempt
from worker.delivery.log import doubts_of
from worker.delivery.token_endpoint import TokenOutcome
from worker.metrics.histogram import CALL_SECONDS, BatchHistogram

VERDICTS: Final = ("delivered", "again", "unanswered", "dead")
# Those that an alert watches: a wrong amount may have moved.
ALARMING_DOUBTS: Final = ("balance_moved_otherwise", "ref_id_not_ours")
OTHERS: Final = "(others)"
OPERATORS_MAX: Final = 1000


class LabelLimit:
    """Bounds the values of a label: the first *values_max* pass, all later ones become OTHERS."""

    def __init__(self, values_max: int = OPERATORS_MAX) -> None:
        self._values_max = values_max
        self._known: set[str] = set()

    def __call__(self, value: str) -> str:
        """Return *value*, or OTHERS."""
        if value in self._known:
            return value
        if len(self._known) >= self._values_max:
            return OTHERS
        self._known.add(value)
        return value


class DeliveryMetrics:
    """Counts attempts and the time they took, by operator. Not thread-safe."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._attempts = Counter(
            "slipway_delivery_attempts",
            "Recorded attempts to deliver a notice, by operator and verdict.",
            ["operator", "verdict"],
            registry=registry,
        )
        self._duration = BatchHistogram(
            "slipway_delivery_attempt_duration_seconds",
            "Duration of an attempt, by operator: until the response, or until it failed.",
            buckets=CALL_SECONDS,
            registry=registry,
            label="operator",
        )
        self._doubts = Counter(
            "slipway_delivery_doubtful_responses",
            "Successes with a contradiction in the response, by operator and doubt.",
            ["operator", "doubt"],
            registry=registry,
        )
        self._token_calls = Counter(
            "slipway_token_calls",
            "Calls of the partners' token endpoints, by operator and outcome.",
            ["operator", "outcome"],
            registry=registry,
        )
        self._token_limit = LabelLimit()
        self._unusable = _UnusablePartners()
        registry.register(self._unusable)
        self._limit = LabelLimit()
        self._expected: set[str] = set()

    def recorded(self, attempts: Sequence[Attempt]) -> None:
        """Count *attempts*."""
        verdicts: Count[tuple[str, str]] = Count()
        doubtful: Count[tuple[str, str]] = Count()
        seconds: defaultdict[str, list[float]] = defaultdict(list)
        for attempt in attempts:
            code = attempt.claim.operator_code
            verdicts[code, attempt.verdict.word] += 1
            if attempt.remarks is not None:
                for doubt in doubts_of(attempt):
                    doubtful[code, doubt] += 1
            if attempt.took:
                seconds[code].append(attempt.took.total_seconds())
        for (code, verdict), count in verdicts.items():
            self._expect(code)
            self._attempts.labels(self._limit(code), verdict).inc(count)
        for (code, doubt), count in doubtful.items():
            self._doubts.labels(self._limit(code), doubt).inc(count)
        for code, values in seconds.items():
            self._duration.observe(values, self._limit(code))

    def unusable(self, partners: Mapping[str, bool]) -> None:
        """Export which of *partners*, by code, this process cannot deliver to."""
        self._unusable.partners = partners

    def token_called(self, code: str, outcome: str) -> None:
        """Count a call of the token endpoint of the operator *code*; beside `recorded`."""
        shown = self._token_limit(code)
        for known in TokenOutcome:
            self._token_calls.labels(shown, known).inc(known == outcome)

    def _expect(self, operator: str) -> None:
        """Export all verdicts of *operator* from now on: a rate needs the zero it starts from."""
        shown = self._limit(operator)
        if shown not in self._expected:
            self._expected.add(shown)
            self._duration.expect(shown)
            for verdict in VERDICTS:
                self._attempts.labels(shown, verdict)
            for doubt in ALARMING_DOUBTS:
                self._doubts.labels(shown, doubt)


class _UnusablePartners(Collector):
    """The partners that this process cannot deliver to; the log reports changes only."""

    def __init__(self) -> None:
        self.partners: Mapping[str, bool] = {}  # replaced, never changed
        self._limit = LabelLimit()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        shown: defaultdict[str, bool] = defaultdict(bool)
        for code, unusable in self.partners.items():
            shown[self._limit(code)] |= unusable
        family = GaugeMetricFamily(
            "slipway_partner_unusable",
            "1: its secret cannot be decrypted here, or its protocol is not supported.",
            labels=["operator"],
        )
        for code, unusable in sorted(shown.items()):
            family.add_metric([code], unusable)
        yield family
