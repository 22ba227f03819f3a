"""Opens Redis for our own short commands (Celery's transport opens its own connections)."""

from datetime import timedelta
from typing import Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ReadOnlyError
from redis.retry import Retry

READ_TIMEOUT: Final = timedelta(seconds=5)


def open_redis(url: str, *, retries: int, name: str, wait: timedelta = READ_TIMEOUT) -> Redis:
    """Make a client that gives up after *retries* retries and waits up to 5 s each time.

    redis-py's own default is ten silent retries, up to a minute on a server that hangs. A server
    that takes no writes (READONLY) was the primary until a failover: its connection is closed, and
    the next try, a retry or the caller's, reaches the server that *url* leads to by then.
    """
    return Redis.from_url(
        url,
        socket_timeout=wait.total_seconds(),
        socket_connect_timeout=wait.total_seconds(),
        retry=Retry(NoBackoff(), retries),
        retry_on_error=[ReadOnlyError],  # closes the connection even without a retry
        client_name=name,
    )
