"""Pauses between tries that grow while a failure lasts."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final


def doubling(first: timedelta, longest: timedelta) -> tuple[timedelta, ...]:
    """Return pauses from *first* to *longest*, each twice as long as the one before."""
    pauses = [first]
    while pauses[-1] < longest:
        pauses.append(min(pauses[-1] * 2, longest))
    return tuple(pauses)


# For a server that is unavailable: 0.1 s, 0.2 s, 0.4 s … up to 5 s.
SERVER_PAUSES: Final = doubling(timedelta(milliseconds=100), timedelta(seconds=5))


class Backoff:
    """Returns the pauses in turn; the last one repeats, and a success starts them again."""

    def __init__(self, pauses: Sequence[timedelta] = SERVER_PAUSES, *, failures: int = 0) -> None:
        """Start after *failures* in a row."""
        self._pauses = tuple(pauses)
        self.failures = failures

    def next(self) -> timedelta:
        """Count a failure and return the pause after it."""
        pause = self._pauses[min(self.failures, len(self._pauses) - 1)]
        self.failures += 1
        return pause

    def reset(self) -> None:
        """Start with the shortest pause again."""
        self.failures = 0
