"""The publisher: events onto the stream `ticket-events`, from Python."""

from models.events.reading import EVENT_BYTES_MAX
from producers.publisher.errors import (
    EventUnsendable,
    NotOnDisk,
    PublishError,
    PublishLater,
    RedisAway,
    RedisFull,
    RedisReadOnly,
    SetupRefused,
    TooMuchAtOnce,
    Unfinished,
)
from producers.publisher.stream import FIELD, STREAM, Publisher
from producers.publisher.wire import Event, event

__all__ = [
    "EVENT_BYTES_MAX",
    "FIELD",
    "STREAM",
    "Event",
    "EventUnsendable",
    "NotOnDisk",
    "PublishError",
    "PublishLater",
    "Publisher",
    "RedisAway",
    "RedisFull",
    "RedisReadOnly",
    "SetupRefused",
    "TooMuchAtOnce",
    "Unfinished",
    "event",
]
