"""Who may have how many calls in flight: a cap for each partner, and one for the process.

A partner that hangs fills its own lane and takes no place in another's. The places of the process
are shared out evenly among those that have something due.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from models.outbox.values import Claim, Partner

_SHARE_LEAST: Final = 8  # a smaller part of the places is not worth asking the database for


class Lanes:
    """Counts the calls in flight of each partner."""

    def __init__(self) -> None:
        self._in_flight: Counter[int] = Counter()
        self._turn = 0

    def started(self, operator: int) -> None:
        """One more call is in flight."""
        self._in_flight[operator] += 1

    def ended(self, operator: int) -> None:
        """One call is over."""
        self._in_flight[operator] -= 1
        if not self._in_flight[operator]:
            del self._in_flight[operator]

    def wanted(self, partners: Sequence[Partner]) -> dict[int, int]:
        """How many more calls each partner's cap allows; another partner is first every time."""
        self._turn += 1
        first = self._turn % max(1, len(partners))
        free = (
            (one.id, one.in_flight - self._in_flight[one.id])
            for one in (*partners[first:], *partners[:first])
        )
        return {operator: count for operator, count in free if count > 0}


def fill(
    wanted: Mapping[int, int],
    places: int,
    claim: Callable[[Mapping[int, int]], Sequence[Claim]],
) -> list[Claim]:
    """Claim for the partners of *wanted* until *places* are taken or nothing more is due.

    *claim* is asked for a few partners at a time, each with a room that it may fill. It never gets
    more room than there are places, however many partners there are, and no partner with something
    due goes without while another takes all.
    """
    claims: list[Claim] = []
    waiting = deque(wanted.items())
    while waiting and places > 0:
        group = [waiting.popleft() for _ in range(min(len(waiting), _groups(places)))]
        rooms = share(dict(group), places)
        got = claim(rooms)
        places -= len(got)
        claims += got
        taken = Counter(one.operator for one in got)
        for operator, count in group:
            if rooms[operator] == taken[operator] and count > taken[operator]:
                waiting.append((operator, count - taken[operator]))  # it may have more
    return claims


def share(wanted: Mapping[int, int], places: int) -> dict[int, int]:
    """Share *places* out: nobody gets more than wanted, and what one leaves goes to the others."""
    rooms = {}
    by_size: Iterable[tuple[int, int]] = sorted(wanted.items(), key=lambda item: item[1])
    for waiting, (operator, count) in zip(range(len(wanted), 0, -1), by_size, strict=True):
        rooms[operator] = min(count, places // waiting)
        places -= rooms[operator]
    return rooms


def _groups(places: int) -> int:
    return max(1, places // _SHARE_LEAST)
