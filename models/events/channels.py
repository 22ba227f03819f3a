"""Through which channel an entry came onto the stream, for counting."""

from enum import StrEnum
from typing import Final

from models.events.stream_contract import CELERY_TYPE, LOTTERY_TYPE


class Channel(StrEnum):
    """Where events come in; an event sent over HTTP cannot be told from one added directly."""

    STREAM = "stream"  # XADD, `POST /events`, the Python publisher
    LOTTERY = "lottery"  # the lottery feed
    QUEUE = "queue"  # the Celery queue `tickets`
    UNKNOWN = "unknown"  # an entry with an unknown `type`
    EARLIER = "earlier"  # the event had been parked, and its entry is gone


_CHANNELS: Final = {
    None: Channel.STREAM,
    LOTTERY_TYPE: Channel.LOTTERY,
    CELERY_TYPE: Channel.QUEUE,
}


def channel_of(entry_type: bytes | None) -> Channel:
    """Return the channel of an entry by its field `type`."""
    return _CHANNELS.get(entry_type, Channel.UNKNOWN)
