"""What a refusal of Redis means for the one who publishes."""

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from producers.publisher.errors import (
    NotOnDisk,
    RedisAway,
    RedisFull,
    RedisReadOnly,
    SetupRefused,
    Unfinished,
)

NO_WRITES = ("READONLY", "MISCONF", "NOREPLICAS")  # a replica; a disk in trouble; too few copies


class DiskTooSlow(RedisError):
    """WAITAOF ran out: the events are in memory, perhaps not on disk."""


def meaning(refusal: RedisError) -> type[Unfinished]:
    """Name what the caller has to do about *refusal*."""
    match refusal:
        case DiskTooSlow():
            return NotOnDisk
        case OutOfMemoryError():
            return RedisFull
        case ReadOnlyError():
            return RedisReadOnly
        case AuthenticationError() | AuthorizationError():  # both are also connection errors
            return SetupRefused
        case RedisConnectionError() | RedisTimeoutError() | BusyLoadingError():
            return RedisAway
        case _:
            return RedisReadOnly if str(refusal).startswith(NO_WRITES) else SetupRefused


def worth_another_try(refusal: Exception) -> bool:
    """Tell whether the same events may be taken in a moment by the same server.

    Connection errors are left out: the client has tried those again already.
    """
    return isinstance(refusal, RedisError) and meaning(refusal) in {RedisFull, RedisReadOnly}
