"""Pauses that grow while the same trouble lasts."""

from datetime import timedelta
from typing import Final

FIRST: Final = timedelta(milliseconds=100)
LONGEST: Final = timedelta(seconds=5)


class Backoff:
    """0.1 s, 0.2 s, 0.4 s … up to 5 s; from the start again after a success."""

    def __init__(self) -> None:
        """Begin with the shortest."""
        self._next = FIRST

    def next(self) -> timedelta:
        """Give the pause to make now; the one after it is twice as long."""
        pause = self._next
        self._next = min(pause * 2, LONGEST)
        return pause

    def reset(self) -> None:
        """Begin with the shortest again."""
        self._next = FIRST
