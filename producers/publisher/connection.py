"""Opens the Redis that a URL leads to, directly, by its sentinels, or on a cluster."""

from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from models.settings.redis_address import SentinelAddress, cluster_address, sentinel_address
from producers.publisher.cluster import open_on_cluster, refuse_cluster
from producers.publisher.sentinel import EncryptedNamedPrimary, NamedPrimary


def connect(url: str, *, stream: str, connect_seconds: float, **options: object) -> Redis:
    """Make a client for *url*, which is valid; it connects on first use. *options*: redis-py's.

    With sentinels in *url*, each new connection asks them for the primary, and so does one that is
    refused for want of replicas; with nodes of a cluster, for the node that holds *stream*. Each is
    asked once: the others are asked instead, and redis-py's own retries would take a minute where
    one is down. A node of a cluster in a `redis://` URL raises UnsuitableRedis.
    """
    given: dict[str, Any] = {"socket_connect_timeout": connect_seconds, **options}
    if (cluster := cluster_address(url)) is not None:
        return open_on_cluster(cluster, stream=stream, ask_seconds=connect_seconds, **given)
    address = sentinel_address(url)
    if address is None:
        return Redis.from_url(url, redis_connect_func=refuse_cluster, **given)
    sentinels = _NamedSentinels(
        address,
        socket_timeout=connect_seconds,
        socket_connect_timeout=connect_seconds,
        retry=Retry(NoBackoff(), 0),
        **address.sentinel_login,
        **address.encryption(),
    )
    encryption = address.encryption()
    given["connection_class"] = EncryptedNamedPrimary if encryption else NamedPrimary
    primary: Redis = sentinels.master_for(  # type: ignore[no-untyped-call]  # redis-py's
        address.primary, db=address.database, **address.login, **encryption, **given
    )
    return primary


class _NamedSentinels(Sentinel):
    """Sentinels whose failure names them in one line; redis-py's own message fills a page.

    Nor does a connection to one of them stay open between two questions: redis-py keeps those, and
    where one is down they outlive the client until the garbage collector comes.
    """

    def __init__(self, address: SentinelAddress, **options: object) -> None:
        """Prepare to ask those of *address*; *options*: redis-py's, for a client of one."""
        super().__init__(address.sentinels, sentinel_kwargs=options)  # type: ignore[no-untyped-call]  # redis-py's
        self._address = address

    def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return the primary's address. Raises MasterNotFoundError if none is up."""
        try:
            place: tuple[str, int] = super().discover_master(service_name)  # type: ignore[no-untyped-call]  # redis-py's
        except MasterNotFoundError:
            raise MasterNotFoundError(self._address.not_found) from None
        finally:
            for sentinel in self.sentinels:  # another thread may be asking over one of its own
                sentinel.connection_pool.disconnect(inuse_connections=False)
        return place
