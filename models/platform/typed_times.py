"""Times and rates as a person types them: a point in time, or a time span from now."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from models.platform.durations import parse_duration
from models.platform.timestamps import parse_timestamp

_RATE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)/(s|min|h)")
_SECONDS: Final = {"s": 1, "min": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class When:
    """A point in time, or a time span after now."""

    at: datetime | None
    after: timedelta = timedelta(0)

    def time(self, now: datetime) -> datetime:
        """Return the time that is meant at *now*."""
        return now + self.after if self.at is None else self.at


@dataclass(frozen=True, slots=True)
class Past:
    """A point in time, or a time span before now."""

    at: datetime | None
    ago: timedelta = timedelta(0)

    def time(self, now: datetime) -> datetime:
        """Return the time that is meant at *now*."""
        return now - self.ago if self.at is None else self.at


def parse_when(text: str) -> When:
    """Read `2026-11-20T10:00:00Z`, or `+1h30m` for a time from now. Raises ValueError."""
    if text.startswith("+"):
        return When(None, parse_duration(text[1:]))
    try:
        return When(parse_timestamp(text))
    except ValueError as problem:
        raise ValueError(
            f"{text[:40]!r} is not a time: it {problem}; for a time from now, write +1h"
        ) from None


def parse_past(text: str) -> Past:
    """Read `2026-11-20T10:00:00Z`, or `3h` for a time before now. Raises ValueError."""
    try:
        return Past(None, parse_duration(text))
    except ValueError:
        pass
    try:
        return Past(parse_timestamp(text))
    except ValueError as problem:
        raise ValueError(
            f"{text[:40]!r} is not a time: it {problem}; for a time before now, write 3h"
        ) from None


def parse_rate(text: str) -> float:
    """Read `50/s`, `600/min` or `1000/h` as a number per second. Raises ValueError."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a rate; write 50/s, 600/min or 1000/h")
    return float(match[1]) / _SECONDS[match[2]]
