"""A Redis Cluster: which of its nodes holds the stream, and what is said where it cannot be used.

All keys of the stream lie in one slot, so on one node, and one transaction or script reaches them.
"""

from binascii import crc_hqx
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import starmap
from typing import Any, Final

from models.settings.listening import host_and_port
from models.settings.redis_tls import RedisTls

Place = tuple[str, int]  # host and port
SLOTS: Final = 16_384
BROKER_NEEDED: Final = (
    "SLIPWAY_BROKER_URL must be set to a Redis or Valkey that is no cluster: Celery's queues cannot"
    " live on the cluster in SLIPWAY_REDIS_URL"
)


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    """Some nodes of a cluster, which know all the others, and how each is logged in to."""

    nodes: tuple[Place, ...]
    login: Mapping[str, str] = field(repr=False)  # redis-py's arguments
    tls: RedisTls | None

    @property
    def hosts(self) -> str:
        """The nodes, for a person."""
        return ",".join(starmap(host_and_port, self.nodes))


def is_cluster_node(handshake: object) -> bool:
    """Return whether a server's reply to HELLO is that of a node of a cluster."""
    return isinstance(handshake, Mapping) and handshake.get(b"mode") == b"cluster"


def cluster_refused(place: Place) -> str:
    """Say what to do about a URL that treats a node of a cluster as a single server."""
    return (
        f"{host_and_port(*place)} is a node of a Redis Cluster: for the stream write"
        f" redis+cluster://user:password@{host_and_port(*place)} (rediss+cluster:// for TLS) in"
        " SLIPWAY_REDIS_URL; Celery's queues cannot live on a cluster, so SLIPWAY_BROKER_URL must"
        " be set to a Redis or Valkey that is none"
    )


def no_cluster(place: Place) -> str:
    """Say what to do about a cluster's URL that leads to a single server."""
    return (
        f"{host_and_port(*place)} is no node of a Redis Cluster: write redis:// (rediss:// for"
        " TLS) instead of redis+cluster:// in SLIPWAY_REDIS_URL"
    )


def slots_forbidden(place: Place) -> str:
    """Say which right is missing."""
    return (
        f"the user in SLIPWAY_REDIS_URL may not use CLUSTER SLOTS at {host_and_port(*place)}: give"
        " it +cluster|slots on every node (deploy/redis/users.acl)"
    )


def slot_of(key: str) -> int:
    """Return the slot of *key*, which holds no hash tag."""
    return crc_hqx(key.encode(), 0) % SLOTS


class StreamNodes:
    """Finds the node that holds a stream, by asking the nodes of an address for it."""

    def __init__(self, address: ClusterAddress, *, stream: str) -> None:
        """Ask nothing yet."""
        self._stream = stream
        self._slot = slot_of(stream)
        self._nodes = deque(address.nodes)
        self._hosts = address.hosts

    @property
    def not_found(self) -> str:
        """What is wrong if no node can name the one that holds the stream."""
        return f"none of the nodes {self._hosts} tells which one holds the key {self._stream}"

    @property
    def moved(self) -> str:
        """What happened if a node does not serve the stream."""
        return f"this node does not serve the key {self._stream} now; the next try asks which does"

    def find(self, ask: Callable[[Place], Any]) -> Place | None:
        """Return the first answer. *ask* returns the reply to CLUSTER SLOTS, None if there is none.

        A node that is down is asked last from then on.
        """
        for node in tuple(self._nodes):
            holder = self.find_in(ask(node), source=node)
            if holder is not None:
                return holder
            self.suspect(node)
        return None

    def find_in(self, ranges: Sequence[Sequence[Any]] | None, *, source: Place) -> Place | None:
        """Return the node that *source* names in its reply to CLUSTER SLOTS, if any."""
        for first, last, primary, *_ in ranges or ():
            if first <= self._slot <= last:
                host = (primary[0] or b"").decode()
                # A node that does not know its own address means the one that it was asked at.
                return (source[0] if host in ("", "?") else host), int(primary[1])
        return None

    def suspect(self, node: Place | None = None) -> None:
        """Ask another node first: *node*, or the one that was asked, knows no better."""
        if node in (None, self._nodes[0]):
            self._nodes.rotate(-1)
