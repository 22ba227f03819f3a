"""Connections to the primary that sentinels name: a former one is left at its first refusal.

A primary that is replaced while it lives loses its replicas first and refuses writes with
NOREPLICAS. That it is a replica by now (READONLY, at which redis-py reconnects) it learns from the
sentinels seconds later, up to 20.
"""

from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.sentinel import Sentinel, SentinelManagedConnection, SentinelManagedSSLConnection


class AskedSentinels(Sentinel):
    """Sentinels to which no connection stays open between two questions.

    redis-py keeps one to each that it has asked, and closes it when nobody refers to it any more:
    where one of them is down, long after the client was closed.
    """

    def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return the primary's address. Raises MasterNotFoundError if none names one."""
        try:
            place: tuple[str, int] = super().discover_master(service_name)  # type: ignore[no-untyped-call]  # redis-py's
        finally:
            for sentinel in self.sentinels:  # another thread may be asking over one of its own
                sentinel.connection_pool.disconnect(inuse_connections=False)
        return place


class PrimaryConnection(SentinelManagedConnection):
    """A connection that asks at NOREPLICAS whether the sentinels name another primary by now."""

    def read_response(self, *how: Any, **options: Any) -> Any:  # noqa: ANN401 - redis-py's
        """Read a reply. Raises redis.ConnectionError, connected no more, if they name another."""
        try:
            return super().read_response(*how, **options)
        except ResponseError as error:
            if not (_lacks_replicas(error) and (named := self._replaced_by())):
                raise
            self.disconnect()  # type: ignore[no-untyped-call]  # redis-py's
            self.host, self.port = named  # a retry of the same command connects without asking
            raise RedisConnectionError("the sentinels name another primary by now") from error

    def _replaced_by(self) -> tuple[str, int] | None:
        try:  # closes the idle connections of the pool, too, if another is named
            named: tuple[str, int] = self.connection_pool.get_master_address()
        except RedisError:
            return None
        return None if named == (self.host, self.port) else named


class EncryptedPrimaryConnection(PrimaryConnection, SentinelManagedSSLConnection):
    """The same over TLS."""


def _lacks_replicas(error: ResponseError) -> bool:
    return str(error).startswith("NOREPLICAS") or error.status_code == "NOREPLICAS"
