"""Who may have how many calls in flight in this process: the places are shared out evenly.

A partner that hangs fills its own lane and takes no place in another's.
"""

from collections import Counter
from collections.abc import Mapping


class Lanes:
    """Counts the calls in flight of each partner."""

    def __init__(self) -> None:
        self._in_flight: Counter[int] = Counter()

    @property
    def calls(self) -> Mapping[int, int]:
        """Calls in flight by operator; 0 for those without any."""
        return self._in_flight

    def started(self, operator: int) -> None:
        """One more call is in flight."""
        self._in_flight[operator] += 1

    def ended(self, operator: int) -> None:
        """One call is over."""
        self._in_flight[operator] -= 1
        if not self._in_flight[operator]:
            del self._in_flight[operator]


def share(wanted: Mapping[int, int], held: Mapping[int, int], places: int) -> dict[int, int]:
    """Share *places* out; *held*: calls each partner has in flight already.

    Nobody gets more than wanted, and nobody comes to have more than is left free after all got
    theirs: so there is always a share for the next partner, however many of the others hang. The
    price is that a partner on its own gets half of the places. Where there is less than a place for
    each, the first ones of *wanted* that have none get one.
    """
    level = _level(wanted, held, places)
    rooms = {one: min(count, max(0, level - held[one])) for one, count in wanted.items()}
    left = places - sum(rooms.values())
    if not level:
        for operator in [one for one in wanted if wanted[one] and not held[one]][:left]:
            rooms[operator] = 1
    return rooms


def _level(wanted: Mapping[int, int], held: Mapping[int, int], places: int) -> int:
    """The most that anyone may have: with one more, less than that would be left free."""

    def fits(level: int) -> bool:
        taken = sum(min(count, max(0, level - held[one])) for one, count in wanted.items())
        return taken + level <= places + 1

    low, high = 0, places + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
