"""Moments at which the Celery queue was found empty, as the sweep's looks note them."""

from redis import Redis

from worker.sweep.horizon import MOMENTS


def note(redis: Redis, *moments: float) -> None:
    """Note *moments*, in milliseconds of Redis' clock, as if a sweep had looked then."""
    redis.zadd(MOMENTS, {f"{moment * 1000:.0f}": moment * 1000 for moment in moments})


def noted(redis: Redis) -> list[float]:
    """Return what is noted, oldest first, in milliseconds."""
    members: list[bytes] = redis.zrange(MOMENTS, 0, -1)  # type: ignore[assignment] # so without scores
    return [float(member) / 1000 for member in members]
