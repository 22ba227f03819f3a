"""When entries were first seen on the stream, by the moments that the sweeps noted.

Each observation of a sweep notes a moment and the stream's last id. An entry with no later id was
there by then, whatever time its own id claims.
"""

from bisect import bisect_left
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Final

Id = tuple[int, int]

# As many entries as an intake reads in seconds. The number in an id may be chosen, too.
_BEFORE_MAX: Final = 50_000


class NotedMoments:
    """Moments by the last id that was on the stream at the time."""

    def __init__(self, noted: Iterable[tuple[Id, datetime]]) -> None:
        moments = sorted(noted)
        self._ids = [last_id for last_id, _ in moments]
        # From each place on, the earliest time: also where the stream began again with smaller ids.
        self._times = [*accumulate((time for _, time in reversed(moments)), min)][::-1]

    def seen_at(self, entry_id: str) -> datetime | None:
        """Return a moment at which the entry is known to have been on the stream.

        That is the first at which a sweep saw it, plus a microsecond for each entry that came
        before it since the last observation: so the entries of one observation keep their order,
        whichever intake applies them first. The numbers begin again where ids jump to a later
        millisecond: such entries come after all that have the last observation's. Returns None if
        no sweep has observed the stream since the entry came.
        """
        milliseconds, number = id_parts(entry_id)
        place = bisect_left(self._ids, (milliseconds, number))
        if place == len(self._ids):
            return None
        before = min(number, _BEFORE_MAX)
        if place and self._ids[place - 1][0] == milliseconds:
            before = min(number - self._ids[place - 1][1], _BEFORE_MAX)
        elif place:
            before += _BEFORE_MAX
        return self._times[place] + timedelta(microseconds=before)


def id_parts(entry_id: str) -> Id:
    """Return the milliseconds and the number of an entry's id."""
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number)
