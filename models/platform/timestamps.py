"""Parses and formats times: in an entry's id, in an event, on screens and in messages.

A time as text is RFC 3339 with an offset, read leniently: a space or a small `t` for `T`, a small
`z`, a comma for the decimal point, any number of decimals (those beyond microseconds are cut off),
seconds left out, an hour of one digit. Every interface parses it here, and the published schemas
state the same rule as `TIMESTAMP_PATTERN`. The standard library's own parser is not used, because
what it accepts differs between versions of Python.
"""

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta
from typing import Final

_YEAR = "[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000"
_LEAP_YEAR = "[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00"
_DAY = (
    f"(?:(?:{_YEAR})-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    f"|(?:{_LEAP_YEAR})-02-29)"
)
_CLOCK = "(?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]+)?)?"
_OFFSET = "(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
# Matches exactly the texts that `parse_timestamp` accepts; valid in every kind of regular
# expression.
TIMESTAMP_PATTERN: Final = f"^{_DAY}[Tt ]{_CLOCK}{_OFFSET}$"
TIMESTAMP_RULE: Final = "must be RFC 3339 with an offset, like 2026-11-20T10:00:00Z"

# The usual form: the standard library parses it ten times as fast, and alike in all versions.
_USUAL: Final = re.compile(
    "[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:[.][0-9]{1,6})?"
    "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_SHAPE: Final = re.compile(
    "(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})[Tt ]"
    "(?P<hour>[0-9]{1,2}):(?P<min>[0-9]{2})(?::(?P<sec>[0-9]{2})(?:[.,](?P<decimals>[0-9]+))?)?"
    "(?:[Zz]|(?P<sign>[+-])(?P<ahead>[0-9]{2}):(?P<ahead_min>[0-9]{2}))"
)
_PARTS: Final = {
    "hour": "hour",
    "min": "minute",
    "sec": "second",
    "ahead": "an offset of hour",
    "ahead_min": "an offset of minute",
}
_WITHOUT_OFFSET: Final = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{1,2}:[0-9:.,]*")
_WITH_ZONE_NAME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:.,+-]*[Zz]? ?(?:\[[^\]]*\]|[A-Za-z][A-Za-z0-9_/+-]+)"
)
_MICROSECONDS: Final = 6  # digits
_MONTH_MAX: Final = 12
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)  # room for a window behind it


def entry_id_time(entry_id: str) -> datetime:
    """Return the time in a stream entry's id: when it was added, unless the id claims a later time.

    An id may be given with XADD, and every later id is then above it, so it is no proof of when an
    entry arrived: see `Entry.received_at`. A time beyond all dates counts as the year 9999.
    """
    try:
        at = datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return _LATEST
    return min(at, _LATEST)


def from_microseconds(microseconds: int) -> datetime:
    """Return the time that is *microseconds* after the Unix epoch."""
    return _EPOCH + timedelta(microseconds=microseconds)


def to_microseconds(at: datetime) -> int:
    """Return the microseconds from the Unix epoch to *at*, exactly."""
    return (at - _EPOCH) // timedelta.resolution


def format_timestamp(at: datetime, timespec: str = "auto") -> str:
    """Return *at* in the form of all shown times: RFC 3339 in UTC, `2026-11-20T10:00:00Z`.

    *timespec* is that of `datetime.isoformat`.
    """
    return at.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def parse_timestamp(text: str) -> datetime:
    """Return the time in UTC that *text* names. Raises ValueError, which says what is wrong.

    An offset that leads beyond the ends of the calendar is cut off there: such a time is too old,
    or counts as the time of receipt, in any case.
    """
    if _USUAL.fullmatch(text):
        try:
            return datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError):  # no such day; beyond the calendar's ends
            return _parse(text)
    return _parse(text)


def _parse(text: str) -> datetime:
    """Parse any accepted form. Raises ValueError for all others."""
    parts = _SHAPE.fullmatch(text)
    if parts is None:
        raise ValueError(_form_problem(text))
    if (problem := _day_problem(*parts.group("year", "month", "day"))) or (
        problem := _time_problem(parts)
    ):
        raise ValueError(problem)
    numbers = (int(parts[name] or 0) for name in ("year", "month", "day", "hour", "min", "sec"))
    year, month, day, hour, minute, second = numbers
    decimals = (parts["decimals"] or "")[:_MICROSECONDS].ljust(_MICROSECONDS, "0")
    local = datetime(year, month, day, hour, minute, second, int(decimals), UTC)
    ahead = timedelta(hours=int(parts["ahead"] or 0), minutes=int(parts["ahead_min"] or 0))
    try:
        return local + ahead if parts["sign"] == "-" else local - ahead
    except OverflowError:
        return _LAST if parts["sign"] == "-" else _EARLIEST


def _form_problem(text: str) -> str:
    """Describe why *text* does not have the form of a time."""
    if _WITHOUT_OFFSET.fullmatch(text):
        return f"{TIMESTAMP_RULE}; this one has no offset"
    if _WITH_ZONE_NAME.fullmatch(text):
        return f"{TIMESTAMP_RULE}; this one names a time zone instead of its offset"
    return TIMESTAMP_RULE


def _day_problem(year: str, month: str, day: str) -> str | None:
    """Return why there is no such day, or None if there is."""
    if year == "0000":
        return "there is no year 0000: years begin at 0001"
    if not 1 <= int(month) <= _MONTH_MAX:
        return f"there is no month {month}: months are 01 to 12"
    last = monthrange(int(year), int(month))[1]
    if not 1 <= int(day) <= last:
        return f"there is no day {day}: {year}-{month} has days 01 to {last}"
    return None


def _time_problem(parts: re.Match[str]) -> str | None:
    """Return why there is no such time of day or offset, or None if there is."""
    if parts["hour"] == "24":
        return "hours end at 23: write 24:00 as 00:00 of the next day"
    if parts["sec"] == "60":
        return "seconds end at 59: write a leap second as second 59"
    ends = {"hour": 23, "min": 59, "sec": 59, "ahead": 23, "ahead_min": 59}
    for name, last in ends.items():
        if int(parts[name] or 0) > last:
            return f"{_PARTS[name]} {parts[name]} does not exist; the last is {last}"
    return None
