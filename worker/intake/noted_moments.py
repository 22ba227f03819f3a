"""The moments that the sweeps note: everything published before one was on the stream by then.

What was published before a moment, by PostgreSQL's clock or Redis' own, has no later id than the
stream's last one of that time. So the ids alone show the order, even where the times in them are
wrong: a publisher may choose an id from the future, and Redis never assigns a smaller id than its
last, whatever its clock says.
"""

from datetime import datetime
from typing import Any, Final

from redis import Redis

from models.events.noted_moments import Id, NotedMoments, id_parts
from models.platform.timestamps import from_microseconds
from worker.process.stream_keys import KEYS, StreamKeys

# The form of a moment; both times in microseconds: "<PostgreSQL's> <Redis'> <last id>".
NOTED: Final = r"^(%d+) (%d+) (%d+%-%d+)$"  # as a pattern of Lua


def read_moments(redis: Redis, keys: StreamKeys = KEYS) -> NotedMoments:
    """Read the moments, by Redis' clock. Raises redis.RedisError."""
    noted: Any = redis.zrange(keys.moments, 0, -1)
    return NotedMoments(_last_id_and_time(member.decode()) for member in noted)


def _last_id_and_time(member: str) -> tuple[Id, datetime]:
    _, time, last_id = member.split()
    return id_parts(last_id), from_microseconds(int(time))
