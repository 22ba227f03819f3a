"""Why events are not on the stream, by what the caller has to do.

PublishError
 ├── EventUnsendable    fix the event; nothing of the call was sent
 ├── CallTooLarge      split the call; nothing of it was sent
 ├── SetupRefused       fix the address, password, permissions or settings of Redis
 │    ├── StreamUnusable    repair the key: it is not a stream, or it has no ids left
 │    └── DiskUnconfirmable enable the append-only file of Redis, or turn WAITAOF off
 └── PublishLater       publish `error.unpublished` again: with the same ids nothing counts twice
      ├── RedisFull         free memory, or let the intake catch up
      ├── RedisReadOnly     wait for the failover, or fix the disk
      ├── RedisUnavailable         restore Redis, or the network to it
      ├── NotConfirmed      the reply of Redis does not confirm the events
      └── NotOnDisk         on the stream, but not confirmed on disk
"""

from collections.abc import Mapping, Sequence

from models.platform.errors import SlipwayError


class PublishError(SlipwayError):
    """An event is not, or not certainly, on the stream."""


class EventUnsendable(PublishError):
    """This event is invalid: fix it. Nothing of the call was sent."""

    def __init__(self, position: int, message: str) -> None:
        """Describe the event at *position* (from 0) of the call."""
        self.position = position
        super().__init__(f"event {position} of this call was not sent: {message}")


class CallTooLarge(PublishError):
    """The call is larger than the publisher holds in memory: split it. Nothing was sent."""


class PublishIncomplete(PublishError):
    """The call was interrupted; `entry_ids` and `unpublished` say how far it came."""

    advice = ""

    def __init__(
        self,
        cause: str,
        *,
        entry_ids: Sequence[str],
        unpublished: Sequence[Mapping[str, object]],
    ) -> None:
        """Keep the *entry_ids* of the first events, and the others with their ids and times."""
        self.entry_ids = tuple(entry_ids)
        self.unpublished = tuple(unpublished)
        count = f"{len(self.unpublished)} of {len(entry_ids) + len(unpublished)} events"
        super().__init__(f"{self.advice} ({count} not confirmed; Redis said: {cause})")


class SetupRefused(PublishIncomplete):
    """Redis rejects this publisher, and would again: fix the configuration."""

    advice = "Redis rejects these events: fix its address, password, permissions or settings"


class StreamUnusable(SetupRefused):
    """The key is not a stream, or has no ids left: it accepts no events until it is repaired."""

    advice = (
        "the stream accepts no events until its key is repaired: run `slipway doctor`, "
        "then publish `unpublished` again"
    )


class DiskUnconfirmable(SetupRefused):
    """Confirmation on disk is required, but Redis does not support it. Nothing was published."""

    advice = (
        "Redis cannot confirm events on disk: use Redis 7.2 or Valkey with `appendonly yes`, "
        "or publish without WAITAOF (SLIPWAY_WAITAOF=off)"
    )


class PublishLater(PublishIncomplete):
    """Nothing is wrong with the events: publish `unpublished` again, with the ids they carry."""


class RedisFull(PublishLater):
    """Redis has reached its memory limit and rejects writes (OOM)."""

    advice = (
        "Redis is full: free memory or let the intake catch up, then publish `unpublished` again"
    )


class RedisReadOnly(PublishLater):
    """Redis responds, but accepts no writes: a replica, or a server that cannot save."""

    advice = (
        "Redis accepts no writes: wait for the failover or fix its disk, "
        "then publish `unpublished` again"
    )


class RedisUnavailable(PublishLater):
    """Redis is unreachable or stopped responding; the events may or may not be on the stream."""

    advice = (
        "Redis does not respond: once it does, publish `unpublished` again; nothing counts twice"
    )


class NotConfirmed(PublishLater):
    """The reply has no entry id for each event; they may or may not be on the stream."""

    advice = "Redis did not confirm these events: publish `unpublished` again; nothing counts twice"


class NotOnDisk(PublishLater):
    """The events are on the stream, but Redis did not confirm them on disk."""

    advice = (
        "these events are on the stream, but Redis did not confirm them on disk: "
        "publish `unpublished` again; nothing counts twice"
    )
