"""The moments the sweeps note: up to when everything that was published is on the stream.

Each says: what was published before it, by PostgreSQL's clock or Redis' own, has no later id than
the stream's last one of that time. So the ids alone tell what came before what, even where they
claim other times than the true ones: a publisher may choose an id from the future, and Redis never
gives a smaller id than its last, whatever its clock says.
"""

from bisect import bisect_left
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any, Final

from redis import Redis

MOMENTS: Final = "ticket-events:moments"  # a sorted set, by PostgreSQL's time; shared by all sweeps
FORMER_MOMENTS: Final = "ticket-events:emptied"  # noted without the last id: they tell too little

# How a moment is noted; both times in microseconds: "<PostgreSQL's> <Redis'> <last id>".
NOTED: Final = r"^(%d+) (%d+) (%d+%-%d+)$"  # Lua's pattern of it
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Id = tuple[int, int]


class Moments:
    """What is noted, for asking when an entry was on the stream already."""

    def __init__(self, noted: Iterable[bytes]) -> None:
        moments = sorted(_last_id_and_time(member.decode()) for member in noted)
        self._ids = [last_id for last_id, _ in moments]
        # From each place on, the earliest time: also where the stream began again with smaller ids.
        self._times = [*accumulate((time for _, time in reversed(moments)), min)][::-1]

    def seen_at(self, entry_id: str) -> datetime | None:
        """Give the first moment, by Redis' clock, at which the entry is known to have been there.

        None: no sweep has looked since it came.
        """
        place = bisect_left(self._ids, _id(entry_id))
        return from_micros(self._times[place]) if place < len(self._times) else None


def read_moments(redis: Redis) -> Moments:
    """Read what is noted. Raises redis.RedisError."""
    noted: Any = redis.zrange(MOMENTS, 0, -1)
    return Moments(noted)


def from_micros(micros: int) -> datetime:
    """Give the time that is *micros* after the epoch."""
    return _EPOCH + timedelta(microseconds=micros)


def to_micros(moment: datetime) -> int:
    """Give *moment* as a whole number, exactly."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _last_id_and_time(member: str) -> tuple[Id, int]:
    _, time, last_id = member.split()
    return _id(last_id), int(time)


def _id(text: str) -> Id:
    milliseconds, _, number = text.partition("-")
    return int(milliseconds), int(number)
