"""The Python publisher: adds events to the stream `ticket-events`."""

from models.events.stream_contract import EVENT_BYTES_MAX, STREAM
from producers.publisher.errors import (
    CallTooLarge,
    DiskUnconfirmable,
    EventUnsendable,
    NotConfirmed,
    NotOnDisk,
    PublishError,
    PublishIncomplete,
    PublishLater,
    RedisFull,
    RedisReadOnly,
    RedisUnavailable,
    SetupRefused,
    StreamUnusable,
)
from producers.publisher.event import OutgoingEvent, event
from producers.publisher.stream import Publisher

__all__ = [
    "EVENT_BYTES_MAX",
    "STREAM",
    "CallTooLarge",
    "DiskUnconfirmable",
    "EventUnsendable",
    "NotConfirmed",
    "NotOnDisk",
    "OutgoingEvent",
    "PublishError",
    "PublishIncomplete",
    "PublishLater",
    "Publisher",
    "RedisFull",
    "RedisReadOnly",
    "RedisUnavailable",
    "SetupRefused",
    "StreamUnusable",
    "event",
]
