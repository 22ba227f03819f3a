"""Maps errors of Redis to the errors of the publisher."""

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
    PublishIncomplete,
    RedisFull,
    RedisReadOnly,
    RedisUnavailable,
    SetupRefused,
    StreamUnusable,
)

_ABORTED: Final = "Transaction discarded because of: "
# By the first word of the error, if redis-py has no class for it, or an EXECABORT quotes it.
_BY_WORD: Final[dict[str, type[PublishIncomplete]]] = {
    "OOM": RedisFull,
    "READONLY": RedisReadOnly,  # a replica
    "MISCONF": RedisReadOnly,  # it cannot save to disk
    "NOREPLICAS": RedisReadOnly,  # too few replicas
    "MASTERDOWN": RedisReadOnly,
    "LOADING": RedisUnavailable,
    "BUSY": RedisUnavailable,  # with a script that does not return
    "CLUSTERDOWN": RedisUnavailable,
    "TRYAGAIN": RedisUnavailable,
}


class DiskNotConfirmed(RedisError):
    """All entries are on the stream; WAITAOF timed out or failed, so perhaps not on disk."""


class DiskConfirmationUnsupported(RedisError):
    """Redis lacks WAITAOF or an append-only file. Nothing was added."""


class EntryIdMissing(RedisError):
    """Redis replied, but not with an id for each entry. Some may be on the stream."""


# The first class that matches. Authentication errors are connection errors, too.
_BY_CLASS: Final[tuple[tuple[type[RedisError], type[PublishIncomplete]], ...]] = (
    (DiskNotConfirmed, NotOnDisk),
    (DiskConfirmationUnsupported, DiskUnconfirmable),
    (EntryIdMissing, NotConfirmed),
    (InvalidResponse, NotConfirmed),
    (OutOfMemoryError, RedisFull),
    (ReadOnlyError, RedisReadOnly),
    (AuthenticationError, SetupRefused),
    (AuthorizationError, SetupRefused),
    (MasterDownError, RedisReadOnly),
    (RedisConnectionError, RedisUnavailable),
    (RedisTimeoutError, RedisUnavailable),
    (ClusterDownError, RedisUnavailable),
    (TryAgainError, RedisUnavailable),
)


def error_class(refusal: RedisError) -> type[PublishIncomplete]:
    """Return the publisher's error for *refusal*."""
    for redis_class, publisher_class in _BY_CLASS:
        if isinstance(refusal, redis_class):
            return publisher_class
    message = str(refusal).removeprefix(_ABORTED)
    if is_unusable(message):
        return StreamUnusable
    return _BY_WORD.get(message.partition(" ")[0], SetupRefused)


def is_retryable(refusal: Exception) -> bool:
    """Return whether the same server may accept the same events in a moment.

    Connection errors are excluded: the client has retried those already.
    """
    if not isinstance(refusal, RedisError):
        return False
    error = error_class(refusal)
    return error in {RedisFull, RedisReadOnly, NotConfirmed} or (
        error is RedisUnavailable and isinstance(refusal, ResponseError)
    )
