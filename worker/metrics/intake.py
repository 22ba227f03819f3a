"""What an intake counts: once for each chunk."""

from datetime import timedelta
from typing import Final

from prometheus_client import CollectorRegistry, Counter

from models.events.channels import Channel
from models.intake.apply import UNREADABLE
from models.vocabulary import INBOUND, Outcome, Reason
from worker.intake.loop import Batch
from worker.metrics.histogram import LONG_SECONDS, SECONDS, SIZES, Histogram

# Why an event ends otherwise than rejected; the rest of the words are reasons to reject.
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
    """Counts what became of events, how many came at once, and how long they took."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._events = Counter(
            "slipway_events",
            "Events, by action and how they ended.",
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
        self._chunk_entries = Histogram(
            "slipway_intake_batch_entries",
            "Stream entries applied in one chunk.",
            bounds=SIZES,
            registry=registry,
        )
        self._chunk_seconds = Histogram(
            "slipway_intake_batch_duration_seconds",
            "Time from a chunk's arrival in the process until it was committed and finished.",
            bounds=SECONDS,
            registry=registry,
        )
        self._apply_seconds = Histogram(
            "slipway_intake_apply_duration_seconds",
            "Time from XADD until finished, of each chunk's oldest entry, by the clock of Redis.",
            bounds=LONG_SECONDS,
            registry=registry,
        )

    def applied(self, batch: Batch) -> None:
        """Count one chunk in."""
        for (action, outcome), count in batch.applied.outcomes.items():
            self._events.labels(action, outcome).inc(count)
        for (reason, channel), count in batch.applied.rejected.items():
            self._rejected.labels(reason, channel).inc(count)
        self._chunk_entries.observe([batch.entries])
        self._chunk_seconds.observe([batch.took.total_seconds()])
        if batch.waited is not None:
            waited = min(max(batch.waited, timedelta()), _WAIT_MAX)
            self._apply_seconds.observe([waited.total_seconds()])
