"""Through which door an entry came onto the stream, in a word for counting."""

from enum import StrEnum
from typing import Final

from models.events.event import Entry
from models.events.stream_contract import CELERY_TYPE, LOTTERY_TYPE, TYPE_FIELD


class Channel(StrEnum):
    """Where events come in; what came over HTTP is on the stream as if put there directly."""

    STREAM = "stream"  # XADD, `POST /events`, the Python publisher
    LOTTERY = "lottery"  # the lottery feed
    QUEUE = "queue"  # Celery's queue `tickets`
    UNKNOWN = "unknown"  # an entry whose `type` nobody knows
    EARLIER = "earlier"  # it had been parked, and the entry that brought it is gone


_DOORS: Final = {
    None: Channel.STREAM,
    LOTTERY_TYPE: Channel.LOTTERY,
    CELERY_TYPE: Channel.QUEUE,
}


def channel_of(entry: Entry | None) -> Channel:
    """Name the door of *entry*; None: the entry is not at hand any more."""
    if entry is None:
        return Channel.EARLIER
    return _DOORS.get(entry.fields.get(TYPE_FIELD), Channel.UNKNOWN)
