"""The publisher: events onto the stream `ticket-events`, from Python."""

from models.events.reading import EVENT_BYTES_MAX
from producers.publisher.adding import STREAM
from producers.publisher.errors import (
    DiskUnconfirmable,
    EventUnsendable,
    NotConfirmed,
    NotOnDisk,
    PublishError,
    PublishLater,
    RedisAway,
    RedisFull,
    RedisReadOnly,
    SetupRefused,
    StreamUnusable,
    TooMuchAtOnce,
    Unfinished,
)
from producers.publisher.stream import FIELD, Publisher
from producers.publisher.wire import Event, event

__all__ = [
    "EVENT_BYTES_MAX",
    "FIELD",
    "STREAM",
    "DiskUnconfirmable",
    "Event",
    "EventUnsendable",
    "NotConfirmed",
    "NotOnDisk",
    "PublishError",
    "PublishLater",
    "Publisher",
    "RedisAway",
    "RedisFull",
    "RedisReadOnly",
    "SetupRefused",
    "StreamUnusable",
    "TooMuchAtOnce",
    "Unfinished",
    "event",
]
