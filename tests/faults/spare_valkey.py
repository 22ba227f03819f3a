"""A second Valkey beside the first, and how one takes the other's place and address.

Valkey can change the port it listens on while it runs, and keeps the connections it has. So an
address passes from one server to the other as it does behind a proxy or a DNS name: a new
connection reaches the new primary, an open one stays with the old one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from redis import Redis

from tests.support.free_port import free_port
from tests.support.wait import eventually
from worker.local.servers import Servers
from worker.local.servers.binaries import find_binaries
from worker.local.servers.data_folder import data_folder
from worker.local.servers.ports import LOOPBACK
from worker.local.servers.valkey import ValkeyServer

PAUSE_MS = 5_000


@dataclass(slots=True)
class Member:
    """One of the two servers, and the port it listens on at the moment."""

    port: int
    password: str = field(repr=False)

    @contextmanager
    def speak(self) -> Iterator[Redis]:
        """A client of this server, past the proxy that others use."""
        with Redis(
            host=LOOPBACK,
            port=self.port,
            password=self.password,
            socket_timeout=5,
            decode_responses=True,
        ) as client:
            yield client

    def follow(self, primary: "Member") -> None:
        """Become the replica of *primary*, and wait until its data is here."""
        with primary.speak() as client:
            client.config_set("repl-diskless-sync-delay", 0)  # else it waits 5 s for more replicas
            client.config_set("masterauth", self.password)  # for when they change places
        with self.speak() as client:
            client.config_set("masterauth", self.password)
            client.replicaof(LOOPBACK, str(primary.port))
            eventually(lambda: _linked(client.info("replication")))

    def hand_over(self, replica: "Member") -> None:
        """Make *replica* the primary, at this one's address; this one follows, elsewhere.

        Nothing is lost: writes wait until the replica has them all.
        """
        address = self.port
        with self.speak() as client:
            target = ("TO", LOOPBACK, replica.port, "TIMEOUT", PAUSE_MS)
            client.execute_command("FAILOVER", *target)  # type: ignore[no-untyped-call] # redis-py's
        with replica.speak() as client:
            eventually(lambda: _is_primary(client.info("replication")))
        self.listen_on(free_port())
        replica.listen_on(address)
        self.follow(replica)

    def listen_on(self, port: int) -> None:
        """Take connections there from now on; those that are open stay."""
        with self.speak() as client:
            client.config_set("port", port)
        self.port = port

    def wait_until_replicated(self) -> None:
        """Let no write begin any more, and return when the replica has all there were."""
        with self.speak() as client:
            client.execute_command("CLIENT", "PAUSE", PAUSE_MS, "WRITE")  # type: ignore[no-untyped-call] # redis-py's
            eventually(lambda: _caught_up(client.info("replication")))

    def become_primary(self, address: int) -> None:
        """Stop following, and listen on *address*."""
        with self.speak() as client:
            client.replicaof("NO", "ONE")
            client.config_set("masterauth", "")
        self.listen_on(address)


@contextmanager
def spare_of(servers: Servers) -> Iterator[tuple[ValkeyServer, Member]]:
    """Run another Valkey with the same password, and a folder of its own, until the block ends."""
    beside = servers.valkey.log_file.parent.parent
    password = password_of(servers)
    with data_folder(None, within=beside) as made:
        home = replace(made, password=password)
        server = ValkeyServer(home, find_binaries(home))
        try:
            server.start()
            yield server, Member(server.port, password)
        finally:
            server.kill()


def password_of(servers: Servers) -> str:
    """The password of Valkey's default user."""
    return urlsplit(servers.redis_url).password or ""


def _linked(replication: dict[str, Any]) -> bool:
    return replication.get("master_link_status") == "up"


def _is_primary(replication: dict[str, Any]) -> bool:
    return bool(replication["role"] == "master")


def _caught_up(replication: dict[str, Any]) -> bool:
    replica = replication.get("slave0", {})
    return bool(replica.get("offset") == replication["master_repl_offset"])
