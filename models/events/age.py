"""How long ago an event may have happened: it must not revive a ticket that was removed (H16).

The intake judges by the entry's time. A door judges before there is an entry, by another clock, so
it takes a little less: what it takes is not too old for the intake a moment later.
"""

from datetime import datetime, timedelta
from typing import Final

from models.platform.durations import format_duration
from models.platform.timestamps import format_timestamp

# For the way to the stream, and for clocks of PostgreSQL and Redis that differ.
_MARGIN: Final = timedelta(minutes=1)
_MARGIN_PART: Final = 10  # at most this part of the age: it may be set to seconds


def age_problem(happened: datetime, *, received: datetime, age_max: timedelta) -> str | None:
    """Why what *happened* is refused when it is *received* so late; None: it is not."""
    return _why(happened, format_duration(age_max)) if received - happened > age_max else None


def publish_age_problem(happened: datetime, *, now: datetime, age_max: timedelta) -> str | None:
    """As `age_problem`, for an event that is still to be put on the stream."""
    margin = min(_MARGIN, age_max / _MARGIN_PART)
    if now - happened <= age_max - margin:
        return None
    return _why(happened, f"{format_duration(age_max)}, less a margin of {margin.seconds} s,")


def _why(happened: datetime, limit: str) -> str:
    return (
        f"{format_timestamp(happened)} is more than {limit} ago (SLIPWAY_EVENT_AGE_MAX):"
        " its ticket may have been removed, and must not come to life again"
    )
