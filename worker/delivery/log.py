"""What delivery logs: a summary per partner and verdict, and at `debug` each notice's history.

At most one line a second for each partner and verdict: a partner that refuses a million notices at
once fills no disk; every attempt is in the database. Together with the intake's `event_decided`,
the lines at `debug` follow a ticket from XADD to the partner's response, by operator and ticket id.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from models.outbox.causes import cause_of
from models.outbox.values import Attempt, CircuitChange, Claim, Dead, Delivered, Recorded
from models.tracing.traceparent import log_fields

log = logging.getLogger(__name__)

NOTICES_NOT_DELIVERED: Final = "notices_not_delivered"
SUSPICIOUS_RESPONSES: Final = "suspicious_responses"
CIRCUIT_OPENED: Final = "circuit_opened"
CIRCUIT_CLOSED: Final = "circuit_closed"
NOTICE_SENT: Final = "notice_sent"
ATTEMPT_RECORDED: Final = "attempt_recorded"
_SECONDS_BETWEEN: Final = 1.0


@dataclass(slots=True)
class _OutcomeGroup:
    """Attempts of one partner with the same verdict, since the last line about them."""

    event: str
    sample: Attempt
    count: int = 0
    next_line_at: float = 0.0


class DeliverySummary:
    """Counts failed and suspicious attempts, and logs the counts from time to time."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._groups: dict[tuple[str, str], _OutcomeGroup] = {}

    def count(self, recorded: Recorded) -> None:
        """Count what was recorded, but for successes without doubts; log changes of circuits."""
        for change in recorded.circuit_changes:  # rare enough for a line each
            _log_circuit(change)
        for attempt in recorded.attempts:
            if not isinstance(attempt.verdict, Delivered):
                event = NOTICES_NOT_DELIVERED
            elif attempt.remarks is not None and doubts_of(attempt):
                event = SUSPICIOUS_RESPONSES
            else:
                continue
            key = (attempt.claim.operator_code, attempt.verdict.word)
            group = self._groups.setdefault(key, _OutcomeGroup(event, attempt))
            group.sample = attempt
            group.count += 1

    def log_due(self) -> None:
        """Log the groups that have counted something and are due; forget those that have not."""
        now = self._monotonic()
        for key, group in list(self._groups.items()):
            if now < group.next_line_at:
                continue
            if not group.count:
                del self._groups[key]
                continue
            # A dead notice waits for a person, and a person should check a suspicious success.
            needs_person = isinstance(group.sample.verdict, Dead | Delivered)
            level = logging.WARNING if needs_person else logging.INFO
            log.log(
                level, group.event, extra={"count": group.count, **attempt_fields(group.sample)}
            )
            group.count = 0
            group.next_line_at = now + _SECONDS_BETWEEN


def log_sent(claim: Claim) -> None:
    """Log at `debug` that the call of *claim* has begun."""
    if log.isEnabledFor(logging.DEBUG):
        log.debug(
            NOTICE_SENT,
            extra={
                "operator": claim.operator_code,
                "ticket_id": claim.ticket_id,
                "notice_id": claim.notice,
                "action": str(claim.action),
                "generation": claim.generation,
                "claim": claim.number,
                **log_fields(claim.traceparent),
            },
        )


def log_recorded(attempts: Iterable[Attempt]) -> None:
    """Log at `debug` what was recorded."""
    if log.isEnabledFor(logging.DEBUG):
        for attempt in attempts:
            fields = {**attempt_fields(attempt), "http_status": attempt.http_status}
            log.debug(ATTEMPT_RECORDED, extra=fields)


def attempt_fields(attempt: Attempt) -> dict[str, object]:
    """Return what may be logged of an attempt: none of the partner's text, nothing secret."""
    fields: dict[str, object] = {
        "operator": attempt.claim.operator_code,
        "ticket_id": attempt.claim.ticket_id,
        "notice_id": attempt.claim.notice,
        "action": str(attempt.claim.action),
        "verdict": attempt.verdict.word,
        "tries": attempt.claim.tries + 1,
        "problem": attempt.problem,
        "took_ms": round(attempt.took.total_seconds() * 1000),
        **log_fields(attempt.claim.traceparent),
    }
    if doubts := doubts_of(attempt):
        fields["doubts"] = list(doubts)
    return fields


def doubts_of(attempt: Attempt) -> Sequence[str]:
    """Return what is suspicious about a success (`worker.delivery.protocols.seamless`)."""
    doubts: Sequence[str] = (attempt.remarks or {}).get("doubts", ())
    return doubts


def _log_circuit(change: CircuitChange) -> None:
    fields = {"operator": change.operator_code}
    if change.reason is None:
        log.info(CIRCUIT_CLOSED, extra=fields)
    else:
        cause = str(cause_of(change.reason))
        log.warning(CIRCUIT_OPENED, extra={**fields, "reason": change.reason, "cause": cause})
