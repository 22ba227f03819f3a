"""Moments on the wire: the time in an entry's id, and when an event says it happened."""

from datetime import UTC, datetime

_LATEST = datetime(9999, 1, 1, tzinfo=UTC)  # room for a window behind it


def id_time(entry_id: str) -> datetime:
    """The time in a stream entry's id: when it was added, unless the id claims a later moment.

    An id may be given with XADD, and every later id is then above it, so it is no proof of when an
    entry arrived: see `Entry.received_at`. Beyond all dates counts as the year 9999.
    """
    try:
        moment = datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return _LATEST
    return min(moment, _LATEST)


def moment(text: str) -> datetime:
    """RFC 3339 as a moment in UTC; what form it has was checked. ValueError: there is none such."""
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(str(error)) from None
