"""Opening Redis for short commands of ours (Celery's transport opens its own)."""

from datetime import timedelta
from typing import Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ReadOnlyError
from redis.retry import Retry

READ_TIMEOUT: Final = timedelta(seconds=5)


def open_redis(url: str, *, retries: int, name: str) -> Redis:
    """Make a client that gives up after *retries* repetitions and waits 5 s at most each time.

    redis-py's own default is ten silent repetitions, up to a minute on a server that hangs. What
    takes no writes (READONLY) was the primary until a failover: its connection is given up, and
    the next try, a repetition or the caller's, asks whoever answers at *url* by then.
    """
    return Redis.from_url(
        url,
        socket_timeout=READ_TIMEOUT.total_seconds(),
        socket_connect_timeout=READ_TIMEOUT.total_seconds(),
        retry=Retry(NoBackoff(), retries),
        retry_on_error=[ReadOnlyError],  # closes the connection even where nothing is repeated
        client_name=name,
    )
