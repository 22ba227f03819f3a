"""What a refusal of Redis means for the one who publishes."""

from typing import Final

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    InvalidResponse,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from models.events.probe_entry import is_unusable
from producers.publisher.errors import (
    DiskUnconfirmable,
    NotConfirmed,
    NotOnDisk,
    RedisAway,
    RedisFull,
    RedisReadOnly,
    SetupRefused,
    StreamUnusable,
    Unfinished,
)

_ABORTED: Final = "Transaction discarded because of: "
# By the first word of the error, where redis-py has no class for it, or an EXECABORT quotes it.
_BY_WORD: Final[dict[str, type[Unfinished]]] = {
    "OOM": RedisFull,
    "READONLY": RedisReadOnly,  # a replica
    "MISCONF": RedisReadOnly,  # a disk in trouble
    "NOREPLICAS": RedisReadOnly,  # too few copies
    "MASTERDOWN": RedisReadOnly,
    "LOADING": RedisAway,
    "BUSY": RedisAway,  # with a script that does not end
    "CLUSTERDOWN": RedisAway,
    "TRYAGAIN": RedisAway,
}


class OnlyInMemory(RedisError):
    """All entries are on the stream; WAITAOF ran out or failed, so perhaps not on disk."""


class CannotConfirmDisk(RedisError):
    """This Redis lacks WAITAOF or its append-only file. Nothing was added."""


class NotAnId(RedisError):
    """Redis answered, but not with an id for each entry. Some may be on the stream."""


# The first class that fits. Authentication errors are connection errors, too.
_BY_CLASS: Final[tuple[tuple[type[RedisError], type[Unfinished]], ...]] = (
    (OnlyInMemory, NotOnDisk),
    (CannotConfirmDisk, DiskUnconfirmable),
    (NotAnId, NotConfirmed),
    (InvalidResponse, NotConfirmed),
    (OutOfMemoryError, RedisFull),
    (ReadOnlyError, RedisReadOnly),
    (AuthenticationError, SetupRefused),
    (AuthorizationError, SetupRefused),
    (MasterDownError, RedisReadOnly),
    (RedisConnectionError, RedisAway),
    (RedisTimeoutError, RedisAway),
    (ClusterDownError, RedisAway),
    (TryAgainError, RedisAway),
)


def meaning(refusal: RedisError) -> type[Unfinished]:
    """Name what the caller has to do about *refusal*."""
    for kind, means in _BY_CLASS:
        if isinstance(refusal, kind):
            return means
    words = str(refusal).removeprefix(_ABORTED)
    if is_unusable(words):
        return StreamUnusable
    return _BY_WORD.get(words.partition(" ")[0], SetupRefused)


def worth_another_try(refusal: Exception) -> bool:
    """Tell whether the same events may be taken in a moment by the same server.

    Connection errors are left out: the client has tried those again already.
    """
    if not isinstance(refusal, RedisError):
        return False
    kind = meaning(refusal)
    return kind in {RedisFull, RedisReadOnly, NotConfirmed} or (
        kind is RedisAway and isinstance(refusal, ResponseError)
    )
