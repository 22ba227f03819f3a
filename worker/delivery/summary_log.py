"""Logs what was not delivered, and successes that are doubtful: a line per partner and kind.

At most one a second of each.

A partner that refuses a million notices at once fills no disk; every attempt is in the database.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from models.outbox.causes import cause_of
from models.outbox.values import Attempt, Dead, Delivered, Recorded

log = logging.getLogger(__name__)

NOTICES_NOT_DELIVERED: Final = "notices_not_delivered"
ANSWERS_DOUBTFUL: Final = "answers_doubtful"
CIRCUIT_OPENED: Final = "circuit_opened"
CIRCUIT_CLOSED: Final = "circuit_closed"
_SECONDS_BETWEEN: Final = 1.0


@dataclass(slots=True)
class _OutcomeGroup:
    """Attempts of one partner that ended alike, since the last line about them."""

    event: str
    sample: Attempt
    count: int = 0
    next_line_at: float = 0.0


class DeliverySummary:
    """Counts attempts and logs them in turn."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._groups: dict[tuple[str, str], _OutcomeGroup] = {}

    def heard(self, recorded: Recorded) -> None:
        """Count what was recorded; a success that nobody doubts is no news."""
        for turned in recorded.circuit_changes:  # seldom enough to tell each
            told = {"operator": turned.operator_code}
            if turned.reason is None:
                log.info(CIRCUIT_CLOSED, extra=told)
            else:
                cause = str(cause_of(turned.reason))
                log.warning(CIRCUIT_OPENED, extra={**told, "reason": turned.reason, "cause": cause})
        for attempt in recorded.attempts:
            if not isinstance(attempt.verdict, Delivered):
                event = NOTICES_NOT_DELIVERED
            elif doubts(attempt):
                event = ANSWERS_DOUBTFUL
            else:
                continue
            key = (attempt.claim.operator_code, verdict_word(attempt))
            group = self._groups.setdefault(key, _OutcomeGroup(event, attempt))
            group.sample = attempt
            group.count += 1

    def tell(self) -> None:
        """Log the groups that have news and whose turn it is; forget those without news."""
        now = self._monotonic()
        for key, group in list(self._groups.items()):
            if now < group.next_line_at:
                continue
            if not group.count:
                del self._groups[key]
                continue
            # A dead one waits for a person, a doubtful one should be looked at by one.
            waits = isinstance(group.sample.verdict, Dead | Delivered)
            level = logging.WARNING if waits else logging.INFO
            log.log(level, group.event, extra={"count": group.count, **facts(group.sample)})
            group.count = 0
            group.next_line_at = now + _SECONDS_BETWEEN


def facts(attempt: Attempt) -> dict[str, object]:
    """What may be logged of an attempt: none of the partner's words, nothing secret."""
    told: dict[str, object] = {
        "operator": attempt.claim.operator_code,
        "ticket_id": attempt.claim.ticket_id,
        "notice_id": attempt.claim.notice,
        "action": str(attempt.claim.action),
        "verdict": verdict_word(attempt),
        "tries": attempt.claim.tries + 1,
        "problem": attempt.problem,
        "took_ms": round(attempt.took.total_seconds() * 1000),
    }
    return told | ({"doubts": list(found)} if (found := doubts(attempt)) else {})


def verdict_word(attempt: Attempt) -> str:
    """Name the verdict as the database does: `delivered`, `again`, `unanswered`, `dead`."""
    return attempt.verdict.word


def doubts(attempt: Attempt) -> Sequence[str]:
    """Name what is odd about a success (`worker.delivery.protocols.seamless`)."""
    found: Sequence[str] = (attempt.remarks or {}).get("doubts", ())
    return found
