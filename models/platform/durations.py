"""Durations as people write them: `500ms`, `10s`, `15m`, `24h`, `90d`, `1h30m`."""

import re
from datetime import timedelta
from typing import Annotated, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS: Final = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_DIGITS_MAX: Final = 9  # of one number: a timedelta holds no more days than that
_WRITTEN: Final = re.compile(
    "".join(rf"(?:(?P<{unit}>[0-9]{{1,{_DIGITS_MAX}}}){unit})?" for unit in _UNITS)
)
_IN_DAYS_FROM: Final = timedelta(days=3)  # below, people count in hours: 24h, 36h, 48h
_HOW: Final = (
    "write numbers with a unit, largest unit first: 500ms, 10s, 15m, 24h, 90d or 1h30m"
    " (units: d, h, m, s, ms)"
)


def parse_duration(text: str) -> timedelta:
    """Parse a duration such as `24h` or `1h30m`; never negative, exact to the millisecond.

    Each unit (d, h, m, s, ms) may appear once, the largest first, without spaces.
    Raises ValueError, with examples, for anything else.
    """
    written = _WRITTEN.fullmatch(text)
    if written is None or not text:
        raise ValueError(f"{_shortened(text)} is not a duration; {_HOW}")
    try:
        return sum(
            (int(written[unit] or 0) * length for unit, length in _UNITS.items()), timedelta()
        )
    except OverflowError:
        raise ValueError(f"{_shortened(text)} is too long for a duration") from None


def format_duration(duration: timedelta) -> str:
    """Format a duration so that `parse_duration` returns the same one: `24h`, `90d`, `1h30m`.

    Raises ValueError for what has no such form: a negative duration, or parts of a millisecond.
    """
    if duration < timedelta() or duration % _UNITS["ms"]:
        raise ValueError(f"{duration!r} is not a whole number of milliseconds from 0 up")
    parts = []
    rest = duration
    for unit, length in _UNITS.items():
        if unit == "d" and duration < _IN_DAYS_FROM:
            continue
        count, rest = divmod(rest, length)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def whole_milliseconds(duration: timedelta) -> int:
    """Return *duration* in milliseconds; a part of one is cut off."""
    return duration // _UNITS["ms"]


def _shortened(text: str) -> str:
    shown_max = 40  # characters, so that a message stays short
    return repr(text if len(text) <= shown_max else text[:shown_max] + "…")


def _read(value: object) -> timedelta:
    match value:
        case timedelta():
            return value
        case str():
            return parse_duration(value)
        case _:
            raise ValueError(f"a duration is text, not {type(value).__name__}; {_HOW}")


_SCHEMA: Final = {"type": "string", "examples": ["500ms", "15m", "24h"]}

Duration = Annotated[
    timedelta,
    BeforeValidator(_read),
    PlainSerializer(format_duration, when_used="json"),
    WithJsonSchema(_SCHEMA),
]
"""A timedelta that Pydantic reads from `24h` and writes as `24h` in JSON."""
