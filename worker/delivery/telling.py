"""Logs what was not delivered: a line per partner and verdict, at most one a second of each.

A partner that refuses a million notices at once fills no disk; every attempt is in the database.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from models.outbox.values import Attempt, Dead, Delivered

log = logging.getLogger(__name__)

NOTICES_NOT_DELIVERED: Final = "notices_not_delivered"
_SECONDS_BETWEEN: Final = 1.0


@dataclass(slots=True)
class _Group:
    """Attempts of one partner that ended alike, since the last line about them."""

    sample: Attempt
    count: int = 0
    next_line_at: float = 0.0


class Telling:
    """Counts attempts and logs them in turn."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._groups: dict[tuple[str, str], _Group] = {}

    def heard(self, attempts: Iterable[Attempt]) -> None:
        """Count *attempts* that are recorded; those that were delivered are no news."""
        for attempt in attempts:
            if not isinstance(attempt.verdict, Delivered):
                key = (attempt.claim.operator_code, verdict_word(attempt))
                group = self._groups.setdefault(key, _Group(attempt))
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
            dead = isinstance(group.sample.verdict, Dead)
            level = logging.WARNING if dead else logging.INFO  # a dead one waits for a person
            log.log(
                level, NOTICES_NOT_DELIVERED, extra={"count": group.count, **facts(group.sample)}
            )
            group.count = 0
            group.next_line_at = now + _SECONDS_BETWEEN


def facts(attempt: Attempt) -> dict[str, object]:
    """What may be logged of an attempt: none of the partner's words, nothing secret."""
    return {
        "operator": attempt.claim.operator_code,
        "ticket_id": attempt.claim.ticket_id,
        "action": str(attempt.claim.action),
        "verdict": verdict_word(attempt),
        "tries": attempt.claim.tries + 1,
        "problem": attempt.problem,
        "took_ms": round(attempt.took.total_seconds() * 1000),
    }


def verdict_word(attempt: Attempt) -> str:
    """Name the verdict as the database does: `delivered`, `again`, `unanswered`, `dead`."""
    return type(attempt.verdict).__name__.lower()
