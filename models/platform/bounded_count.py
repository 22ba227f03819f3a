"""Counts that are exact up to a limit, and "at least" beyond it."""

from typing import Final, NamedTuple

COUNT_MAX: Final = 10_000


class BoundedCount(NamedTuple):
    """How many there are, or at least how many, if they were not all counted."""

    number: int
    exact: bool = True

    @classmethod
    def of(cls, number: int) -> "BoundedCount":
        """Return the count of a query with `LIMIT COUNT_MAX + 1`."""
        return cls(min(number, COUNT_MAX), number <= COUNT_MAX)

    def __str__(self) -> str:
        """Return `1,204`, or `10,000+` where that many were counted and there may be more."""
        return f"{self.number:,}" if self.exact else f"{self.number:,}+"
