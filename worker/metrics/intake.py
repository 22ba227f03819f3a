"""The metrics of an intake, updated once for each batch."""

from datetime import timedelta
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from models.events.channels import Channel
from models.intake.apply import UNREADABLE
from models.vocabulary import INBOUND, Outcome, Reason
from worker.intake.loop import AppliedBatch
from worker.metrics.histogram import LONG_SECONDS, SECONDS, SIZES

# Reasons of other outcomes; all the others are reasons to reject.
_NO_REJECTION: Final = {
    *(Reason.OPENED_IMPLICITLY, Reason.CORRECTION, Reason.LATE_OPEN),
    *(Reason.SAME_RESULT, Reason.ALREADY_CANCELLED),
    *(Reason.OLDER_SAME, Reason.OLDER_DIFFERS, Reason.OLDER_ROLLBACK, Reason.OLDER_UPDATE),
    *(Reason.WAITS_FOR_TICKET, Reason.WAITS_FOR_RESULT),
    *(Reason.WAITS_FOR_ROLLBACK, Reason.WAITS_FOR_NUMBER),
}
REJECTING: Final = tuple(reason for reason in Reason if reason not in _NO_REJECTION)
_WAIT_MAX: Final = timedelta(days=1)  # an id that a publisher chose may claim any age


class IntakeMetrics:
    """Counts events by outcome, the sizes of batches, and how long they took."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._events = Counter(
            "slipway_events",
            "Events, by action and outcome.",
            ["action", "outcome"],
            registry=registry,
        )
        for action in (*INBOUND, UNREADABLE):  # a rate needs the zero it starts from
            for outcome in Outcome:
                self._events.labels(action, outcome)
        self._rejected = Counter(
            "slipway_events_rejected",
            "Events rejected, by reason and by the channel they came through.",
            ["reason", "channel"],
            registry=registry,
        )
        for reason in REJECTING:
            for channel in (Channel.STREAM, Channel.LOTTERY, Channel.QUEUE):
                self._rejected.labels(reason, channel)
        self._batch_entries = Histogram(
            "slipway_intake_batch_entries",
            "Stream entries in a batch.",
            buckets=SIZES,
            registry=registry,
        )
        self._batch_duration = Histogram(
            "slipway_intake_batch_duration_seconds",
            "Time from reading a batch until it was committed and acknowledged.",
            buckets=SECONDS,
            registry=registry,
        )
        self._apply_duration = Histogram(
            "slipway_intake_apply_duration_seconds",
            "Time from XADD to XACK of each batch's oldest entry, by the clock of Redis.",
            buckets=LONG_SECONDS,
            registry=registry,
        )

    def applied(self, batch: AppliedBatch) -> None:
        """Count one batch."""
        for (action, outcome), count in batch.applied.outcomes.items():
            self._events.labels(action, outcome).inc(count)
        for (reason, channel), count in batch.applied.rejected.items():
            self._rejected.labels(reason, channel).inc(count)
        self._batch_entries.observe(batch.entries)
        self._batch_duration.observe(batch.took.total_seconds())
        if batch.waited is not None:
            waited = min(max(batch.waited, timedelta()), _WAIT_MAX)
            self._apply_duration.observe(waited.total_seconds())
