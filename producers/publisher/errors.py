"""Why events are not on the stream, named for what the publisher's caller has to do.

PublishError
 ├── EventUnsendable    mend the event; nothing of the call was sent
 ├── TooMuchAtOnce      publish in smaller calls; nothing of the call was sent
 ├── SetupRefused       mend address, password, rights or settings of Redis
 │    ├── StreamUnusable    repair the key: it is not a stream, or has no ids left
 │    └── DiskUnconfirmable give Redis an append-only file, or do without WAITAOF
 └── PublishLater       publish `error.unpublished` again; the same ids, so nothing counts twice
      ├── RedisFull         make room, or let the intake catch up
      ├── RedisReadOnly     wait for the failover, or mend the disk
      ├── RedisAway         bring Redis, or the way to it, back
      ├── NotConfirmed      Redis' reply does not say that the events are on the stream
      └── NotOnDisk         on the stream, but not confirmed on disk
"""

from collections.abc import Mapping, Sequence


class PublishError(Exception):
    """An event is not, or not surely, on the stream."""


class EventUnsendable(PublishError):
    """This event can never be published as it is: mend it. Nothing of the call was sent."""

    def __init__(self, position: int, words: str) -> None:
        """Say *words* about the event at *position* (from 0) of the call."""
        self.position = position
        super().__init__(f"event {position} of this call was not sent: {words}")


class TooMuchAtOnce(PublishError):
    """The call is larger than the publisher holds in memory: divide it. Nothing was sent."""


class Unfinished(PublishError):
    """The call ended in the middle. What is known is in `entry_ids` and `unpublished`."""

    advice = ""

    def __init__(
        self,
        cause: str,
        *,
        entry_ids: Sequence[str],
        unpublished: Sequence[Mapping[str, object]],
    ) -> None:
        """Keep the *entry_ids* of the first events, and the rest with their ids and times fixed."""
        self.entry_ids = tuple(entry_ids)
        self.unpublished = tuple(unpublished)
        count = f"{len(self.unpublished)} of {len(entry_ids) + len(unpublished)} events"
        super().__init__(f"{self.advice} ({count} not confirmed; Redis said: {cause})")


class SetupRefused(Unfinished):
    """Redis refuses this publisher, and would again: mend the set-up."""

    advice = "Redis refuses these events: mend its address, password, rights or settings"


class StreamUnusable(SetupRefused):
    """The key is not a stream, or the stream has no ids left: no event is taken until a repair."""

    advice = (
        "the stream takes no events until its key is repaired: run `slipway doctor`, "
        "then publish `unpublished` again"
    )


class DiskUnconfirmable(SetupRefused):
    """Confirmation on disk is wanted, and this Redis cannot give it. Nothing was published."""

    advice = (
        "Redis cannot confirm events on disk: use Redis 7.2 or Valkey with `appendonly yes`, "
        "or publish without WAITAOF (SLIPWAY_WAITAOF=off)"
    )


class PublishLater(Unfinished):
    """Nothing is wrong with the events: publish `unpublished` again, with the ids they carry."""


class RedisFull(PublishLater):
    """Redis has reached its memory limit and refuses writes (OOM)."""

    advice = "Redis is full: make room or let the intake catch up, then publish `unpublished` again"


class RedisReadOnly(PublishLater):
    """Redis answers, but takes no writes: a replica, or a server that cannot save."""

    advice = (
        "Redis takes no writes: wait for the failover or mend its disk, "
        "then publish `unpublished` again"
    )


class RedisAway(PublishLater):
    """Redis cannot be reached, or stopped answering; the events may or may not be on the stream."""

    advice = (
        "Redis does not answer: when it is back publish `unpublished` again, nothing counts twice"
    )


class NotConfirmed(PublishLater):
    """Redis' reply does not hold an entry id per event; the events may or may not be there."""

    advice = "Redis did not confirm these events: publish `unpublished` again, nothing counts twice"


class NotOnDisk(PublishLater):
    """The events are on the stream, but Redis did not confirm them on disk."""

    advice = (
        "these events are on the stream, but Redis did not confirm them on disk: "
        "publish `unpublished` again, nothing counts twice"
    )
