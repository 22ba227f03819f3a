"""A client of the one node of a Redis Cluster that holds the stream.

It is an ordinary client of one server: all keys of the stream lie in one slot, and INFO, TIME and
WAITAOF are meant for that node. When the slot moves, by a failover or to another node, the
connection is closed as if that node were gone, and the next one asks where the stream is by then.
(redis-py's RedisCluster would send the commands without a key to any node, and offers no connection
on which MULTI, XADD and WAITAOF stay together.)
"""

from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.connection import Connection, ConnectionPool, SSLConnection
from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterDownError,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from models.settings.redis_cluster import (
    ClusterAddress,
    Place,
    StreamNodes,
    cluster_refused,
    is_cluster_node,
    no_cluster,
    slots_forbidden,
)


class UnusableRedis(ResponseError):
    """The server at this address must not be used so; its message says what to set instead."""


def open_on_cluster(
    address: ClusterAddress, *, stream: str, ask_seconds: float, **options: object
) -> Redis:
    """Make a client of the node that holds *stream*; it connects on first use."""
    given: dict[str, Any] = {
        "nodes": StreamNodes(address, stream=stream),
        "node_options": node_options(address, ask_seconds=ask_seconds),
        **address.login,
        **({} if address.tls is None else address.tls.options()),
        **options,
    }
    connection_class = _ToStream if address.tls is None else _EncryptedToStream
    return Redis.from_pool(ConnectionPool(connection_class=connection_class, **given))


def node_options(address: ClusterAddress, *, ask_seconds: float) -> dict[str, Any]:
    """Return redis-py's arguments for a client of one node, which is asked once."""
    return {
        "socket_timeout": ask_seconds,
        "socket_connect_timeout": ask_seconds,
        "retry": Retry(NoBackoff(), 0),
        **address.login,
        **({} if address.tls is None else {"ssl": True, **address.tls.options()}),
    }


def refuse_cluster(connection: Connection) -> None:
    """Prepare a new connection to a single server. Raises UnusableRedis at a node of a cluster."""
    connection.on_connect()  # type: ignore[no-untyped-call]  # redis-py's
    if is_cluster_node(connection.handshake_metadata):
        raise UnusableRedis(cluster_refused((connection.host, connection.port)))


def ask_slots(place: Place, options: dict[str, Any]) -> Any:  # noqa: ANN401 - redis-py's reply
    """Return the reply to CLUSTER SLOTS. Raises redis.RedisError, as UnusableRedis if for good."""
    host, port = place
    with Redis(host=host, port=port, **options) as node:
        try:
            return node.execute_command("CLUSTER", "SLOTS")
        except NoPermissionError:
            raise UnusableRedis(slots_forbidden(place)) from None
        except ResponseError as error:
            if "cluster support disabled" in str(error):
                raise UnusableRedis(no_cluster(place)) from None
            raise


class _ToStream(Connection):
    """A connection to the node that holds the stream when it is made."""

    def __init__(
        self, *, nodes: StreamNodes, node_options: dict[str, Any], **options: object
    ) -> None:
        self._nodes = nodes
        self._node_options = node_options
        super().__init__(**options)  # type: ignore[no-untyped-call]  # redis-py's

    def _connect(self) -> Any:  # noqa: ANN401 - redis-py's
        self.host, self.port = self._find()
        return super()._connect()  # type: ignore[no-untyped-call]  # redis-py's

    def read_response(self, *how: Any, **options: Any) -> Any:  # noqa: ANN401 - redis-py's
        try:
            return super().read_response(*how, **options)
        except (AskError, ClusterDownError) as error:  # MovedError is an AskError
            self.disconnect()  # type: ignore[no-untyped-call]  # redis-py's
            self._nodes.suspect()
            raise RedisConnectionError(f"{error.status_code}: {self._nodes.moved}") from error

    def _find(self) -> Place:
        refusal: RedisError | None = None

        def ask(place: Place) -> Any:  # noqa: ANN401 - redis-py's reply
            nonlocal refusal
            try:
                return ask_slots(place, self._node_options)
            except (UnusableRedis, AuthenticationError):  # another node says the same
                raise
            except RedisError as error:
                refusal = error
                return None

        holder = self._nodes.find(ask)
        if holder is None:
            raise RedisConnectionError(self._nodes.not_found) from refusal
        return holder


class _EncryptedToStream(_ToStream, SSLConnection):
    """The same over TLS."""
