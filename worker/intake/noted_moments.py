"""The moments the sweeps note: up to when everything that was published is on the stream.

Each says: what was published before it, by PostgreSQL's clock or Redis' own, has no later id than
the stream's last one of that time. So the ids alone tell what came before what, even where they
claim other times than the true ones: a publisher may choose an id from the future, and Redis never
gives a smaller id than its last, whatever its clock says.
"""

from datetime import datetime
from typing import Any, Final

from redis import Redis

from models.events.stream_contract import STREAM
from models.events.unknown_times import Id, NotedMoments, id_parts
from models.platform.timestamps import from_microseconds

MOMENTS: Final = f"{STREAM}:moments"  # a sorted set, by PostgreSQL's time; shared by all sweeps
FORMER_MOMENTS: Final = f"{STREAM}:emptied"  # noted without the last id: they tell too little

# How a moment is noted; both times in microseconds: "<PostgreSQL's> <Redis'> <last id>".
NOTED: Final = r"^(%d+) (%d+) (%d+%-%d+)$"  # Lua's pattern of it


def read_moments(redis: Redis) -> NotedMoments:
    """Read what is noted, by Redis' clock. Raises redis.RedisError."""
    noted: Any = redis.zrange(MOMENTS, 0, -1)
    return NotedMoments(_last_id_and_time(member.decode()) for member in noted)


def _last_id_and_time(member: str) -> tuple[Id, datetime]:
    _, time, last_id = member.split()
    return id_parts(last_id), from_microseconds(int(time))
