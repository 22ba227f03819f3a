"""Three sentinels before the Valkey of a trial and two replicas, which they may promote."""

import json
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError

from tests.faults.network import EVERYBODY, Network
from tests.faults.relays import Line
from tests.faults.schedule import Place
from tests.faults.spare_valkey import Member, password_of, spare_of
from tests.support.sentinels import AS_THEY_ARE, set_periods
from tests.support.wait import eventually
from worker.local.servers import Servers
from worker.local.servers.binaries import Binaries, find_binaries
from worker.local.servers.data_folder import DataFolder, data_folder, give_to
from worker.local.servers.local_server import LocalServer
from worker.local.servers.ports import LOOPBACK
from worker.local.servers.valkey import ValkeyServer

NAME: Final = "tickets"
SENTINELS: Final = 3
# Longer than a fault of seconds lasts: sentinels promote another when they are told to, or when
# the primary is killed for good.
DOWN_AFTER: Final = timedelta(seconds=10)
MILLISECOND: Final = timedelta(milliseconds=1)
FAILOVER_MS: Final = 20_000
PAUSE_MS: Final = 10_000
# Who may follow whom as primary: the lower the sooner, 0 never.
ORIGINAL, SPARE, NEVER = 1, 10, 0
ORIGINAL_LINE: Final[Line] = (EVERYBODY, Place.VALKEY)


class SentinelServer(LocalServer):
    """One sentinel; the program is Valkey's own."""

    def __init__(
        self, number: int, home: DataFolder, binaries: Binaries, primary: int, down_after: timedelta
    ) -> None:
        """Prepare to watch the server behind the port *primary*."""
        super().__init__(f"sentinel{number}", home, signal.SIGTERM)
        self._binaries, self._primary, self._down_after = binaries, primary, down_after

    def _command(self, port: int) -> list[str]:
        password = json.dumps(self._home.password)
        lines = (
            f"port {port}",
            f"bind {LOOPBACK}",
            f"requirepass {password}",
            f"sentinel monitor {NAME} {LOOPBACK} {self._primary} 2",
            f"sentinel auth-pass {NAME} {self._home.password}",
            f"sentinel down-after-milliseconds {NAME} {self._down_after // MILLISECOND}",
            f"sentinel failover-timeout {NAME} {FAILOVER_MS}",
        )
        file = self._home.room(self.name) / "sentinel.conf"  # it writes there what it learns
        file.write_text("\n".join((*lines, "")), encoding="utf-8")
        give_to(file, self._home.account)
        return [str(self._binaries.valkey), str(file), "--sentinel"]

    def _ready(self, pid: int, port: int) -> bool:
        with _sentinel(port, self._home.password) as client:
            try:
                facts: Any = client.info("server")
            except RedisError:
                return False
            return int(facts["process_id"]) == pid


@dataclass(slots=True)
class Watched:
    """A server of the trial, and the address under which all find it."""

    server: ValkeyServer
    member: Member
    line: int
    priority: int

    def configure(self) -> None:
        """Set what a replica or a primary needs; a restart forgets it."""
        with self.member.speak() as client:
            settings: dict[str, str | int] = {
                "masterauth": self.member.password,
                "replica-announce-ip": LOOPBACK,
                "replica-announce-port": self.line,
                "replica-priority": self.priority,
                "repl-diskless-sync-delay": 0,
                "repl-timeout": 10,
                "repl-ping-replica-period": 1,
                "min-replicas-to-write": 1,
                "min-replicas-max-lag": 10,
            }
            for name, value in settings.items():
                client.config_set(name, value)

    def follow(self, primary: "Watched") -> None:
        """Become a replica of *primary*, by its line, and wait until the data is here."""
        with self.member.speak() as client:
            client.replicaof(LOOPBACK, str(primary.line))
            eventually(lambda: _facts(client).get("master_link_status") == "up")


@dataclass(slots=True)
class WatchedValkeys:
    """The original, a spare that takes its place, and one more replica that never does."""

    original: Watched
    spare: Watched
    other: Watched
    sentinels: list[int]
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        """The address that names the sentinels."""
        hosts = ",".join(f"{LOOPBACK}:{port}" for port in self.sentinels)
        options = f"sentinel_password={self.password}"
        return f"redis+sentinel://default:{self.password}@{hosts}/{NAME}/0?{options}"

    def promote_spare(self) -> None:
        """Fail over as planned: the original takes no writes until it is a replica."""
        for watched in (self.original, self.spare, self.other):
            watched.configure()
        eventually(self._all_know)
        with self.original.member.speak() as client:
            client.client_pause(PAUSE_MS, all=False)
            eventually(self._accepted)
            eventually(lambda: self._named() == self.spare.line)
            eventually(lambda: _replicas(client) == 0)  # so that it refuses writes for good
            client.client_unpause()  # before the sentinels miss what they publish there
            eventually(lambda: _facts(client)["role"] == "slave")

    def kill_spare(self) -> None:
        """Kill the present primary, whose replicas have everything; the original takes over."""
        with self.spare.member.speak() as client:
            eventually(lambda: _replicas(client) == len((self.original, self.other)))
            client.client_pause(PAUSE_MS, all=False)
            eventually(lambda: _caught_up(client))
        self.spare.server.kill()
        eventually(lambda: self._named() == self.original.line)
        with self.original.member.speak() as client:
            eventually(lambda: _facts(client)["role"] == "master")
        self.spare.server.start()
        self.spare.configure()
        self.spare.follow(self.original)
        with self.original.member.speak() as client:
            eventually(lambda: _replicas(client) == len((self.spare, self.other)))

    def _named(self) -> int:
        """The port of the primary, by all sentinels; 0 while they do not agree."""
        named = set()
        for port in self.sentinels:
            with _sentinel(port, self.password) as client:
                state: Any = client.sentinel_master(NAME)
                named.add(int(state["port"]))
        return named.pop() if len(named) == 1 else 0

    def _accepted(self) -> bool:
        with _sentinel(self.sentinels[0], self.password) as client:
            try:
                client.execute_command("SENTINEL", "FAILOVER", NAME)  # type: ignore[no-untyped-call] # redis-py's
            except RedisError:  # NOGOODSLAVE, INPROG: it has just changed
                return False
            return True

    def _all_know(self) -> bool:
        for port in self.sentinels:
            with _sentinel(port, self.password) as client:
                state: Any = client.sentinel_master(NAME)
                replicas: Any = client.sentinel_slaves(NAME)
            up = {each["port"] for each in replicas if each["master-link-status"] == "ok"}
            if state["num-other-sentinels"] < SENTINELS - 1:
                return False
            if not {self.spare.line, self.other.line} <= up:
                return False
        return True


@contextmanager
def sentinels_before(
    servers: Servers,
    network: Network,
    *,
    down_after: timedelta = DOWN_AFTER,
    periods: Mapping[str, int] = AS_THEY_ARE,
) -> Iterator[WatchedValkeys]:
    """Run two replicas of the trial's Valkey and three sentinels until the block ends.

    The sentinels promote another primary when they do not hear from one for *down_after*, and ask
    and tell as often as *periods* say.
    All reach each server by one line of the network: its address is what the sentinels say.
    """
    with ExitStack() as ends:
        spare_server, spare = ends.enter_context(spare_of(servers))
        other_server, other = ends.enter_context(spare_of(servers))
        original = Member(servers.valkey.port, password_of(servers))
        lines = {
            "original": ORIGINAL_LINE,
            "spare": ("spare", Place.VALKEY),
            "other": ("other", Place.VALKEY),
        }
        ports = {
            name: network.lay(lines[name], LOOPBACK, member.port)
            for name, member in (("original", original), ("spare", spare), ("other", other))
        }
        first = Watched(servers.valkey, original, ports["original"], ORIGINAL)
        others = (
            Watched(spare_server, spare, ports["spare"], SPARE),
            Watched(other_server, other, ports["other"], NEVER),
        )
        for watched in (first, *others):
            watched.configure()
        for watched in others:
            watched.follow(first)
        beside = servers.valkey.log_file.parent.parent
        home = ends.enter_context(data_folder(None, within=beside))
        binaries = find_binaries(home)
        watching = replace(home, password=original.password)
        started = []
        for number in range(SENTINELS):
            server = SentinelServer(number, watching, binaries, first.line, down_after)
            ends.callback(server.kill)
            server.start()
            with _sentinel(server.port, original.password) as client:
                set_periods(client, periods)
            started.append(server.port)
        yield WatchedValkeys(first, *others, started, original.password)


@contextmanager
def _sentinel(port: int, password: str) -> Iterator[Redis]:
    with Redis(
        host=LOOPBACK, port=port, password=password, socket_timeout=5, decode_responses=True
    ) as client:
        yield client


def _facts(client: Redis) -> dict[str, Any]:
    facts: Any = client.info("replication")
    return dict(facts)


def _replicas(client: Redis) -> int:
    facts = _facts(client)
    replicas = [facts[f"slave{number}"] for number in range(facts["connected_slaves"])]
    return sum(each["state"] == "online" for each in replicas)


def _caught_up(client: Redis) -> bool:
    facts = _facts(client)
    replicas = [facts[f"slave{number}"] for number in range(facts["connected_slaves"])]
    return {each["offset"] for each in replicas} == {facts["master_repl_offset"]}
