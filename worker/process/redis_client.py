"""Opens Redis for our own short commands (Celery's transport opens its own connections)."""

from datetime import timedelta
from typing import Any, Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ReadOnlyError
from redis.retry import Retry
from redis.sentinel import Sentinel

from models.settings.redis_address import SentinelAddress, sentinel_address

READ_TIMEOUT: Final = timedelta(seconds=5)


def open_redis(url: str, *, retries: int, name: str, wait: timedelta = READ_TIMEOUT) -> Redis:
    """Make a client that gives up after *retries* retries and waits up to 5 s each time.

    redis-py's own default is ten silent retries, up to a minute on a server that hangs. A server
    that takes no writes (READONLY) was the primary until a failover: its connection is closed, and
    the next try, a retry or the caller's, reaches the server that *url* leads to by then. With
    sentinels in *url*, each new connection asks them for the primary.
    """
    options: dict[str, Any] = {
        "socket_timeout": wait.total_seconds(),
        "socket_connect_timeout": wait.total_seconds(),
        "retry": Retry(NoBackoff(), retries),
        "retry_on_error": [ReadOnlyError],  # closes the connection even without a retry
        "client_name": name,
    }
    address = sentinel_address(url)
    if address is None:
        return Redis.from_url(url, **options)
    sentinels = Sentinel(  # type: ignore[no-untyped-call]  # redis-py's
        address.sentinels, sentinel_kwargs=sentinel_options(address, wait=wait)
    )
    primary: Redis = sentinels.master_for(  # type: ignore[no-untyped-call]  # redis-py's
        address.primary, db=address.database, **address.login, **address.encryption(), **options
    )
    return primary


def sentinel_options(address: SentinelAddress, *, wait: timedelta) -> dict[str, Any]:
    """Return redis-py's arguments for a client of one sentinel.

    It is asked once: the others are asked instead, and redis-py's own retries would take a minute
    where one of them is down.
    """
    return {
        "socket_timeout": wait.total_seconds(),
        "socket_connect_timeout": wait.total_seconds(),
        "retry": Retry(NoBackoff(), 0),
        **address.sentinel_login,
        **address.encryption(),
    }
