"""Opens Redis for our own short commands (Celery's transport opens its own connections)."""

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ReadOnlyError, RedisError
from redis.retry import Retry

from models.events.stream_contract import STREAM
from models.settings.process_settings import ProcessSettings
from models.settings.redis_address import SentinelAddress, cluster_address, sentinel_address
from worker.process.cluster_client import UnusableRedis, open_on_cluster, refuse_cluster
from worker.process.redis_errors import redis_problem
from worker.process.sentinel_client import (
    AskedSentinels,
    EncryptedPrimaryConnection,
    PrimaryConnection,
)

log = logging.getLogger(__name__)

READ_TIMEOUT: Final = timedelta(seconds=5)
_START_WAIT: Final = timedelta(seconds=2)


def open_redis(
    url: str, *, retries: int, name: str, wait: timedelta = READ_TIMEOUT, stream: str = STREAM
) -> Redis:
    """Make a client that gives up after *retries* retries and waits up to 5 s each time.

    redis-py's own default is ten silent retries, up to a minute on a server that hangs. A server
    that takes no writes (READONLY) was the primary until a failover: its connection is closed, and
    the next try, a retry or the caller's, reaches the server that *url* leads to by then. With
    sentinels in *url*, each new connection asks them for the primary, and so does one that is
    refused for want of replicas; with nodes of a cluster, for the node that holds *stream*. A node
    of a cluster in a `redis://` URL raises UnusableRedis.
    """
    options: dict[str, Any] = {
        "socket_timeout": wait.total_seconds(),
        "socket_connect_timeout": wait.total_seconds(),
        "retry": Retry(NoBackoff(), retries),
        "retry_on_error": [ReadOnlyError],  # closes the connection even without a retry
        "client_name": name,
    }
    if (cluster := cluster_address(url)) is not None:
        return open_on_cluster(cluster, stream=stream, ask_seconds=wait.total_seconds(), **options)
    address = sentinel_address(url)
    if address is None:
        return Redis.from_url(url, redis_connect_func=refuse_cluster, **options)
    sentinels = AskedSentinels(  # type: ignore[no-untyped-call]  # redis-py's
        address.sentinels, sentinel_kwargs=sentinel_options(address, wait=wait)
    )
    encryption = address.encryption()
    options["connection_class"] = EncryptedPrimaryConnection if encryption else PrimaryConnection
    primary: Redis = sentinels.master_for(  # type: ignore[no-untyped-call]  # redis-py's
        address.primary, db=address.database, **address.login, **encryption, **options
    )
    return primary


def require_usable_redis(settings: ProcessSettings, *, name: str) -> Sequence[str]:
    """Raise UnusableRedis if the stream or Celery's queues cannot live where *settings* lead.

    A server that does not answer may be there later: that raises nothing. Returns a sentence for
    each setting that leads to such a one, with what was expected.
    """
    urls = {settings.broker_url: "SLIPWAY_BROKER_URL", settings.redis_url: "SLIPWAY_REDIS_URL"}
    problems = []
    for url, setting in urls.items():
        try:
            with open_redis(
                url, retries=0, name=name, wait=_START_WAIT, stream=settings.stream
            ) as client:
                client.ping()
        except UnusableRedis:
            raise
        except RedisError as error:
            problems.append(f"{setting}: {redis_problem(error, url)}")
    return problems


def check_redis_at_start(settings: ProcessSettings, *, name: str) -> None:
    """Do the same for a process that waits for its server, and log the sentences."""
    for problem in require_usable_redis(settings, name=name):
        log.warning("redis_not_checked", extra={"error": problem})


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
