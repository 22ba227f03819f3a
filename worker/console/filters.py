"""Reads what people write into filters: times, statuses, words. What is wrong is said, by field."""

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TypeVar

from models.platform.durations import parse_duration
from models.platform.timestamps import parse_timestamp
from worker.console.refusals import invalid

TEXT_MAX: Final = 255
_STATUSES: Final = range(100, 600)

Words = TypeVar("Words", bound=StrEnum)


def read_text(field: str, given: str | None) -> str | None:
    """Return the text without the space around it, or None. Raises PageRefused (422)."""
    text = (given or "").strip()
    if len(text) > TEXT_MAX:
        raise invalid(f"{field} has {len(text):,} characters; the most is {TEXT_MAX}.")
    if "\0" in text:
        raise invalid(f"{field} holds a NUL character.")
    return text or None


def read_time(field: str, given: str | None, now: datetime) -> datetime | None:
    """Return a time: `2026-11-20 10:00` in UTC, or with an offset, or `2h`: two hours before *now*.

    Raises PageRefused (422).
    """
    text = read_text(field, given)
    if text is None:
        return None
    readings: tuple[Callable[[], datetime], ...] = (
        lambda: now - parse_duration(text),
        lambda: parse_timestamp(text),
        lambda: datetime.fromisoformat(text).replace(tzinfo=UTC),
    )
    for reading in readings:
        try:
            return reading()
        except (ValueError, OverflowError):
            continue
    raise invalid(
        f"{field}: {text!r} is no time. Write 2026-11-20 10:00 (UTC), or how long ago, as 30m, 24h"
        " or 3d."
    )


def read_status(field: str, given: str | None) -> int | None:
    """Return an HTTP status. Raises PageRefused (422)."""
    text = read_text(field, given)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()) or int(text) not in _STATUSES:
        raise invalid(f"{field}: {text!r} is no HTTP status. Write one from 100 to 599, like 503.")
    return int(text)


def read_word(field: str, given: str | None, words: type[Words]) -> Words | None:
    """Return one of *words*. Raises PageRefused (422)."""
    text = read_text(field, given)
    if text is None:
        return None
    try:
        return words(text)
    except ValueError:
        raise invalid(f"{field}: {text!r} is none of {', '.join(words)}.") from None
