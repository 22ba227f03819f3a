"""Three real sentinels before a primary and two replicas, all of Debian's packages."""

import os
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError
from redis.sentinel import MasterNotFoundError, Sentinel

from tests.support.authority import Authority
from tests.support.free_port import free_port
from tests.support.tls_front_ends import server_running
from tests.support.tls_redis import redis_program, write_client
from tests.support.wait import eventually
from worker.local.servers.ports import LOOPBACK

PRIMARY: Final = "tickets"
USER, PASSWORD = "slipway-worker", "kept-secret"
SENTINEL_PASSWORD: Final = "kept-secret-too"
COUNT: Final = 3
PAUSE_MS: Final = 10_000
# A dead primary is noticed after; before one is killed, a busy machine must look like none.
NOTICED_MS, PATIENT_MS = 1_000, 60_000
# How often sentinels ask and tell, in milliseconds: of their own they hear of a change within 10 s,
# and tell a former primary 8 s later. And a busy machine shall not make them stand still (TILT).
AS_THEY_ARE: Final[Mapping[str, int]] = {}
HURRIED: Final[Mapping[str, int]] = {
    "info-period": 1_000,
    "publish-period": 500,
    "ask-period": 200,
    "tilt-trigger": 60_000,
}
_LOCAL: Final = ("save ''", f"bind {LOOPBACK}", "daemonize no")


@dataclass(slots=True)
class Watched:
    """Servers that sentinels watch."""

    sentinels: list[int]
    servers: list[int]
    tls: dict[str, str] = field(default_factory=dict)  # the options that name a client's files
    commands: dict[int, list[str]] = field(default_factory=dict)  # that run the servers
    ending: ExitStack = field(default_factory=ExitStack)

    def url(self, **options: str) -> str:
        """The address that names the sentinels."""
        hosts = ",".join(f"{LOOPBACK}:{port}" for port in self.sentinels)
        given = {"sentinel_password": SENTINEL_PASSWORD, **self.tls, **options}
        query = "&".join(f"{name}={value}" for name, value in given.items() if value)
        scheme = "rediss" if self.tls else "redis"
        return f"{scheme}+sentinel://{USER}:{PASSWORD}@{hosts}/{PRIMARY}/0?{query}"

    def client(self, port: int, *, password: str) -> Redis:
        """A client of one server."""
        tls: dict[str, Any] = {"ssl": True, **self.tls} if self.tls else {}
        return Redis(host=LOOPBACK, port=port, password=password, decode_responses=True, **tls)

    def named(self) -> int:
        """The port of the primary, by the first sentinel that answers; 0 while there is none."""
        tls: dict[str, Any] = {"ssl": True, **self.tls} if self.tls else {}
        known = Sentinel(  # type: ignore[no-untyped-call]  # redis-py's
            [(LOOPBACK, port) for port in self.sentinels],
            sentinel_kwargs={"password": SENTINEL_PASSWORD, **tls},
        )
        try:
            _, port = known.discover_master(PRIMARY)  # type: ignore[no-untyped-call]  # redis-py's
            return int(port)
        except MasterNotFoundError:
            return 0
        finally:
            known.close()

    def promote(self, *, paused: bool = True) -> None:
        """Fail over to a replica as planned: the primary takes no writes meanwhile.

        Without the pause, what it acknowledged after that replica had turned would be lost.
        """
        eventually(self.all_know)
        before = self.named()
        with self.client(before, password=PASSWORD) as primary:
            if paused:
                primary.client_pause(PAUSE_MS, all=False)
            with self.client(self.sentinels[0], password=SENTINEL_PASSWORD) as sentinel:
                eventually(lambda: _accepted(sentinel))
            eventually(lambda: self.named() not in (0, before))

    def change_over(self) -> None:
        """Do the same, and end the pause once the former primary refuses writes by itself.

        It would keep the sentinels' messages from that server, too, for ten seconds.
        """
        former = self.named()
        self.promote()
        with self.client(former, password=PASSWORD) as server:

            def lacks_replicas() -> bool:
                facts: Any = server.info("replication")
                return int(facts.get("connected_slaves", 0)) == 0

            eventually(lacks_replicas)
            server.client_unpause()

    def cut_off(self, port: int) -> None:
        """Keep the sentinels from the server at *port*: nobody can tell it that it was replaced."""
        with self.client(port, password=PASSWORD) as server:
            server.acl_setuser("default", enabled=True, reset_passwords=True, passwords=["+other"])
            for client in server.client_list():
                if client["name"].startswith("sentinel-"):
                    server.client_kill_filter(_id=client["id"])

    def asking(self) -> set[tuple[int, str]]:
        """The connections to sentinels that are not of one another: port and id."""
        clients = set()
        for port in self.sentinels:
            with self.client(port, password=SENTINEL_PASSWORD) as sentinel:
                mine = str(sentinel.client_id())
                for client in sentinel.client_list():
                    if client["id"] != mine and not client["name"].startswith("sentinel-"):
                        clients.add((port, client["id"]))
        return clients

    def is_primary(self, port: int, *, replicas: int) -> bool:
        """Whether the server at *port* takes itself for one, with that many replicas."""
        with Redis(host=LOOPBACK, port=port, username=USER, password=PASSWORD) as server:
            facts: Any = server.info("replication")
        return (facts["role"], facts["connected_slaves"]) == ("master", replicas)

    def kill_primary(self) -> None:
        """Kill it once its replicas have everything; sentinels notice after a second."""
        before = self.named()
        with self.client(before, password=PASSWORD) as primary:
            primary.client_pause(PAUSE_MS, all=False)
            eventually(lambda: _replicated(primary))
            self._notice_after(NOTICED_MS)
            os.kill(self.pid(before), signal.SIGKILL)
        eventually(lambda: self.named() not in (0, before))
        self._notice_after(PATIENT_MS)

    def _notice_after(self, milliseconds: int) -> None:
        for port in self.sentinels:
            with self.client(port, password=SENTINEL_PASSWORD) as sentinel:
                sentinel.sentinel_set(PRIMARY, "down-after-milliseconds", milliseconds)

    def pid(self, port: int) -> int:
        """The process id of a server."""
        with self.client(port, password=PASSWORD) as server:
            facts: Any = server.info("server")
        return int(facts["process_id"])

    def has_ended(self, port: int) -> bool:
        """Whether nothing listens there any more."""
        with socket.socket() as client:
            return client.connect_ex((LOOPBACK, port)) != 0

    def bring_back(self, port: int) -> None:
        """Start a server that was killed, with the file it had: it takes itself for what it was."""
        self.ending.enter_context(server_running(self.commands[port], port))

    def all_know(self) -> bool:
        """Whether each sentinel knows the others and a replica that is up."""
        for port in self.sentinels:
            with self.client(port, password=SENTINEL_PASSWORD) as sentinel:
                state: Any = sentinel.sentinel_master(PRIMARY)
                replicas: Any = sentinel.sentinel_slaves(PRIMARY)
            up = [each for each in replicas if each["master-link-status"] == "ok"]
            if state["num-other-sentinels"] < COUNT - 1 or len(up) != len(self.servers) - 1:
                return False
        return True


def set_periods(sentinel: Redis, periods: Mapping[str, int]) -> None:
    """Have it ask and tell so often, in milliseconds; without any, as it is."""
    if periods:
        words = [word for period in periods.items() for word in period]
        sentinel.execute_command("SENTINEL", "DEBUG", *words)  # type: ignore[no-untyped-call]  # redis-py's


def _replicated(primary: Redis) -> bool:
    facts: Any = primary.info("replication")
    replicas = [facts[f"slave{number}"] for number in range(facts["connected_slaves"])]
    return {each["offset"] for each in replicas} == {facts["master_repl_offset"]}


def _accepted(sentinel: Redis) -> bool:
    try:
        sentinel.execute_command("SENTINEL", "FAILOVER", PRIMARY)  # type: ignore[no-untyped-call]  # redis-py's
    except RedisError:  # NOGOODSLAVE, INPROG: it has just changed
        return False
    return True


@contextmanager
def sentinels(
    folder: Path,
    *,
    authority: Authority | None = None,
    servers: int = COUNT,
    replicas_to_write: int = 1,
    noticed_ms: int = PATIENT_MS,
    periods: Mapping[str, int] = HURRIED,
) -> Iterator[Watched]:
    """Run that many servers and three sentinels; over TLS alone with *authority*.

    *noticed_ms*: after which the sentinels take a primary for dead that does not answer. *periods*:
    how often they ask and tell, where it is not as their program has it.
    """
    programs = redis_program(), redis_program("redis-sentinel")
    watched = Watched([free_port() for _ in range(COUNT)], [free_port() for _ in range(servers)])
    encrypted: tuple[str, ...] = ()
    if authority is not None:
        watched.tls = write_client(folder, authority)
        chain, key = authority.issue("redis").write(folder, "redis")
        encrypted = (
            f"tls-cert-file {chain}",
            f"tls-key-file {key}",
            f"tls-ca-cert-file {watched.tls['ssl_ca_certs']}",
            "tls-replication yes",
        )
    with watched.ending as ending:
        for number, port in enumerate(watched.servers):
            follows = f"replicaof {LOOPBACK} {watched.servers[0]}" if number else ""
            lines = (
                *_LOCAL,
                *_listening(port, encrypted),
                *_server(folder / f"s{number}", follows, replicas_to_write),
            )
            watched.commands[port] = _command(programs[0], folder, f"server-{number}", lines)
            ending.enter_context(server_running(watched.commands[port], port))
        for number, port in enumerate(watched.sentinels):
            lines = (
                *_LOCAL,
                *_listening(port, encrypted),
                *_sentinel(watched.servers[0], noticed_ms),
            )
            command = _command(programs[1], folder, f"sentinel-{number}", lines)
            ending.enter_context(server_running(command, port))
            with watched.client(port, password=SENTINEL_PASSWORD) as sentinel:
                set_periods(sentinel, periods)
        eventually(watched.all_know)
        yield watched


def _listening(port: int, encrypted: tuple[str, ...]) -> tuple[str, ...]:
    return ("port 0", f"tls-port {port}", *encrypted) if encrypted else (f"port {port}",)


def _server(folder: Path, follows: str, replicas_to_write: int) -> tuple[str, ...]:
    folder.mkdir()
    return (
        f"dir {folder}",
        "appendonly yes",
        "maxmemory-policy noeviction",
        "repl-diskless-sync-delay 0",
        f"user {USER} on >{PASSWORD} ~* &* +@all",
        f"user default on >{PASSWORD} ~* &* +@all",
        f"masterauth {PASSWORD}",
        # A former primary refuses writes until it is told that it is one: seconds later.
        f"min-replicas-to-write {replicas_to_write}",
        "min-replicas-max-lag 10",
        follows,
    )


def _sentinel(primary: int, noticed_ms: int) -> tuple[str, ...]:
    return (
        f"requirepass {SENTINEL_PASSWORD}",
        f"sentinel monitor {PRIMARY} {LOOPBACK} {primary} 2",
        f"sentinel auth-pass {PRIMARY} {PASSWORD}",
        f"sentinel down-after-milliseconds {PRIMARY} {noticed_ms}",
        f"sentinel failover-timeout {PRIMARY} 5000",
    )


def _command(program: str, folder: Path, name: str, lines: tuple[str, ...]) -> list[str]:
    configuration = folder / f"{name}.conf"
    log = f"logfile {folder / name}.log"
    configuration.write_text("\n".join((*lines, log, "")), encoding="utf-8")
    return [program, str(configuration)]
