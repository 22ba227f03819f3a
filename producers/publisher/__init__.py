"""The publisher: events onto the stream `ticket-events`, from Python."""

from models.events.stream_contract import EVENT_BYTES_MAX, STREAM
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
from producers.publisher.stream import Publisher

__all__ = [
    "EVENT_BYTES_MAX",
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
