"""Checks what Redis allows its clients, and how it writes, as far as it shows its settings."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError

from worker.doctor.finding import Finding, doubtful

_FULL: Final = 0.8
_IDLE_SECONDS_LEAST: Final = 60
_SETTINGS: Final = ("timeout", "appendfsync")


def check_redis_limits(
    redis: Redis, *, part: str, kept_by_provider: bool = False
) -> Iterator[Finding]:
    """Check clients and settings. Raises redis.RedisError if Redis cannot be reached.

    A server that does not show its settings, as managed ones, is not asked for more.
    """
    clients: Mapping[str, Any] = redis.info("clients")
    limit = clients.get("maxclients", 0)
    if limit and clients["connected_clients"] >= _FULL * limit:
        yield doubtful(
            part,
            f"it has {clients['connected_clients']:,} of {limit:,} clients: soon a process gets no"
            " connection",
            remedy="CONFIG SET maxclients, and the same in its configuration; or find who keeps so"
            " many (CLIENT LIST)",
        )
    settings = _settings(redis)
    timeout = int(settings.get("timeout", 0))
    if 0 < timeout < _IDLE_SECONDS_LEAST:
        yield doubtful(
            part,
            f"it closes connections that are idle for {timeout} s: processes and publishers connect"
            " again and again, and log each loss",
            remedy="CONFIG SET timeout 0, and the same in its configuration",
        )
    if settings.get("appendfsync") == "no" and not kept_by_provider:
        yield doubtful(
            part,
            "appendfsync is no: losing power loses what was accepted in the last half minute",
            remedy="CONFIG SET appendfsync everysec, and the same in its configuration",
        )


def _settings(redis: Redis) -> Mapping[str, str]:
    try:
        shown: Any = redis.config_get(*_SETTINGS)
    except ResponseError:  # no right to it, no such command, or one name at most
        return {}
    return {_text(name): _text(value) for name, value in shown.items()}


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
