"""The names of the queues, and of the Redis lists in which kombu keeps their messages."""

from typing import Final

INTAKE_QUEUE: Final = "intake"  # carries nothing: where it is consumed, the stream is read
DELIVER_QUEUE: Final = "deliver"
SWEEP_QUEUE: Final = "sweep"
TICKETS_QUEUE: Final = "tickets"  # events of publishers that use Celery
DEFAULT_QUEUE: Final = "celery"  # where a task goes whose sender names no queue

# A list with an element while something is due that no deliverer knows of: it wakes one of them.
WAKEUPS: Final = "slipway.wakeups"

# Messages that were no wakeup of ours, the newest first, each as an object with `queue`, `reason`,
# `bytes` (its size) and `message` (its beginning; bytes that are not UTF-8 as \xff).
DEAD_LETTERS: Final = "slipway.dead"

PRIORITY_SEPARATOR: Final = "\x06\x16"  # kombu's, between queue and priority step


def priority_lists(queue: str) -> tuple[str, ...]:
    """Return the lists of *queue*: kombu has one per priority step, the most urgent first."""
    return (queue, *(f"{queue}{PRIORITY_SEPARATOR}{step}" for step in (3, 6, 9)))
