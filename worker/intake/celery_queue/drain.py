"""The queue `tickets` as one call: move what waits there to the stream."""

from dataclasses import dataclass

from redis import Redis

from worker.intake.celery_queue.script import ANSWER, KEYS, MOVE


@dataclass(frozen=True, slots=True)
class Moved:
    """How many messages are on the stream now, and how many still wait in the lists.

    *trouble*: what Redis said when it refused the next one; nothing was lost by that.
    """

    messages: int
    left: int
    trouble: str | None = None


class CeleryQueue:
    """The lists of the queue, most urgent first, in each the oldest first."""

    def __init__(self, redis: Redis) -> None:
        """Use *redis*: the server of the stream, and the same database of it."""
        self._move = redis.register_script(MOVE + ANSWER)

    def empty(self) -> Moved:
        """Move up to 1,000 messages or 8 MiB in one step. Raises redis.RedisError."""
        moved, left, trouble = self._move(KEYS)
        return Moved(int(moved), int(left), trouble.decode("utf-8", "replace") or None)
