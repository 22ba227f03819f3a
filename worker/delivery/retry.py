"""When a notice that was not taken is tried again, and when to stop. Time and chance are given.

The pauses are design.md 5.4: 10 s, 30 s, 2 min, 10 min, 30 min, 1 h, then every 2 h, until 48 h are
over. `ticket_discard` has its own: every 30 min (contracts: BetStack 1.6). Only pauses count, and
each as long as it was meant to be at most: what delays an attempt (`models/outbox/claim.py`) takes
nothing away from a notice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final, Self

from models.settings.settings import Settings
from models.vocabulary import Action

ASKED_MAX: Final = timedelta(hours=2)  # a partner can slow us down this far, and no further
_SECONDS_DIGITS_MAX: Final = 9
_NONE: Final = timedelta()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The pauses between the attempts of a notice. The last of *schedule* repeats until *limit*."""

    schedule: Sequence[timedelta]
    jitter: float  # the largest part of a pause that chance adds to it
    limit: timedelta  # an attempt that fails when so much was paused is the last
    discard_interval: timedelta

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take the policy from the settings."""
        return cls(
            schedule=settings.retry_schedule,
            jitter=settings.retry_jitter,
            limit=settings.retry_limit,
            discard_interval=settings.discard_interval,
        )

    def pause(
        self,
        action: Action,
        *,
        tries: int,
        age: timedelta,
        asked: timedelta = _NONE,
        chance: float,
    ) -> timedelta | None:
        """Give the pause after a failed attempt, or None when it was the last.

        *tries*: attempts before this one. *age*: how much was paused since the first attempt; 0
        when this one is the first. *asked*: what the partner asked for (`asked_pause`). *chance*:
        from 0 to 1; it only adds, because a pause may also be a promise of silence (rule 15).
        The pause before the last attempt is shortened, so that this one is made at the limit, but
        never below the first pause of the schedule. A discard's pauses are never shortened.
        """
        if age >= self.limit:
            return None
        if action is Action.DISCARD:
            own = self.discard_interval
        else:
            own = self.schedule[min(tries, len(self.schedule) - 1)]
            own = max(min(own, self.limit - age), self.schedule[0])
        return max(own, asked) * (1 + self.jitter * chance)


def asked_pause(header: str | None, *, now: datetime) -> timedelta:
    """Read a `Retry-After` header: seconds, or an HTTP date. From 0 to 2 h; 0 for anything else.

    Source: RFC 9110, 10.2.3.
    """
    if header is None:
        return _NONE
    value = header.strip()
    if value.isascii() and value.isdigit():
        if len(value) > _SECONDS_DIGITS_MAX:
            return ASKED_MAX
        return min(timedelta(seconds=int(value)), ASKED_MAX)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return _NONE
    if moment.tzinfo is None:  # "-0000": a time in UTC whose place is unknown
        moment = moment.replace(tzinfo=UTC)
    return min(max(moment - now, _NONE), ASKED_MAX)
