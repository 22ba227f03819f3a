"""Moments at which the Celery queue was found empty, as the sweep's looks note them."""

from redis import Redis

from worker.process.stream_keys import KEYS


def note(redis: Redis, *moments: float, last_id: str | None = None, behind: float = 0) -> None:
    """Note *moments*, in milliseconds of Redis' clock, as if a sweep had looked then.

    The stream's last id was *last_id*, or else as young as could be; PostgreSQL's clock was
    *behind* Redis' by so many milliseconds.
    """
    for moment in moments:
        database = f"{(moment - behind) * 1000:.0f}"
        member = f"{database} {moment * 1000:.0f} {last_id or f'{moment:.0f}-0'}"
        redis.zadd(KEYS.moments, {member: float(database)})


def noted(redis: Redis) -> list[float]:
    """Return what is noted, oldest first, in milliseconds of PostgreSQL's clock."""
    members: list[bytes] = redis.zrange(KEYS.moments, 0, -1)  # type: ignore[assignment] # so without scores
    return [float(member.split()[0]) / 1000 for member in members]
