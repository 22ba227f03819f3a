"""Through which door an entry came onto the stream, in a word for counting."""

from enum import StrEnum
from typing import Final

from models.events import celery_message, lottery
from models.events.event import Entry


class Channel(StrEnum):
    """Where events come in; what came over HTTP is on the stream as if put there directly."""

    STREAM = "stream"  # XADD, `POST /events`, the Python publisher
    LOTTERY = "lottery"  # the lottery feed
    QUEUE = "queue"  # Celery's queue `tickets`
    UNKNOWN = "unknown"  # an entry whose `type` nobody knows
    EARLIER = "earlier"  # it had been parked, and the entry that brought it is gone


_KIND: Final = b"type"  # the entry's field; without one it is the plain format
_DOORS: Final = {
    None: Channel.STREAM,
    lottery.KIND: Channel.LOTTERY,
    celery_message.KIND: Channel.QUEUE,
}


def door_of(entry: Entry | None) -> Channel:
    """Name the door of *entry*; None: the entry is not at hand any more."""
    if entry is None:
        return Channel.EARLIER
    return _DOORS.get(entry.fields.get(_KIND), Channel.UNKNOWN)
