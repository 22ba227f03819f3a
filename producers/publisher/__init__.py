"""The publisher: events onto the stream `ticket-events`, from Python."""

from models.events.decode import EVENT_BYTES_MAX
from producers.publisher.append import STREAM
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
from producers.publisher.event import OutgoingEvent, event
from producers.publisher.stream import FIELD, Publisher

__all__ = [
    "EVENT_BYTES_MAX",
    "FIELD",
    "STREAM",
    "DiskUnconfirmable",
    "EventUnsendable",
    "NotConfirmed",
    "NotOnDisk",
    "OutgoingEvent",
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
