"""How long ago an event may have happened: it must not revive a ticket that was removed (H16).

The intake checks the age against the entry's time. A publisher's check comes before there is an
entry, by another clock, so its limit is a little lower: what it accepts is not too old for the
intake a moment later.
"""

from datetime import datetime, timedelta
from typing import Final

from models.platform.durations import format_duration
from models.platform.timestamps import format_timestamp

# For the time until the event is on the stream, and for clocks of PostgreSQL and Redis that differ.
_MARGIN: Final = timedelta(minutes=1)
_MARGIN_PART: Final = 10  # at most this part of the age, which may be set to seconds


def age_problem(happened: datetime, *, received: datetime, age_max: timedelta) -> str | None:
    """Return why an event that *happened* then is too old when *received*, or None if it is not."""
    return _too_old(happened, format_duration(age_max)) if received - happened > age_max else None


def publish_age_problem(happened: datetime, *, now: datetime, age_max: timedelta) -> str | None:
    """As `age_problem`, for an event that is yet to be put on the stream."""
    margin = min(_MARGIN, age_max / _MARGIN_PART)
    if now - happened <= age_max - margin:
        return None
    return _too_old(happened, f"{format_duration(age_max)}, less a margin of {margin.seconds} s,")


def _too_old(happened: datetime, limit: str) -> str:
    return (
        f"{format_timestamp(happened)} is more than {limit} ago (SLIPWAY_EVENT_AGE_MAX):"
        " its ticket may have been removed, and must not come to life again"
    )
