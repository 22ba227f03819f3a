"""Servers that flush every commit, a database with one operator or more, and the real workers."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.fernet import Fernet
from redis import Redis
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from models.database.engine import open_engine
from models.events.stream_contract import GROUP, STREAM
from models.migrations.runner import upgrade
from models.operators import NewOperator, add_operator
from models.operators.interventions import Person
from models.platform.encryption import Vault
from models.settings.settings import Settings
from tests.support import celery_process, databases
from tests.support.manifests import postgres_settings
from tests.support.procfile_processes import command_of
from tests.support.wait import eventually
from worker.local.servers import Servers, embedded_servers

OPERATOR = "acme"
SECRET = "12345ABCDE"
LONG = timedelta(minutes=30)
STARTING_MAX = timedelta(seconds=60)
NOWHERE = "http://127.0.0.1:9/hook"  # the discard port: where nothing is to be delivered
EMPTY = text("""
    TRUNCATE ticket, ticket_event, notice, delivery_attempt, rejected_input""")
# For `pg_waldump`: a checkpoint would remove it else.
KEPT_WAL = {"wal_keep_size": "1GB"}
ACCEPTED = text("SELECT enumvals FROM pg_settings WHERE name = :name")
EMPTY_TRIES = 5
CONSUMERS_MAX = 16


@dataclass(frozen=True, slots=True)
class BenchEnvironment:
    """The servers of one run, and where its processes write.

    *stay*: ends what several parts share, with the run. *began*: by this machine's clock.
    """

    servers: Servers
    folder: Path
    key: str
    began: datetime
    stay: ExitStack
    pending: dict[int, "Database"]  # by how many tickets wait in it
    more: Mapping[str, str] = field(default_factory=dict)  # settings of the processes

    def settings(self, url: str) -> Settings:
        """Settings as production has them, for code that runs in this process."""
        return Settings.model_validate(self._given(url))

    def redis(self) -> Redis:
        """A client of the stream."""
        return Redis.from_url(self.servers.redis_url)

    @contextmanager
    def database(
        self,
        name: str,
        *,
        sink: str = NOWHERE,
        operators: int = 1,
        close_delay: timedelta = timedelta(hours=24),
    ) -> Iterator["Database"]:
        """A migrated database; its operators are `acme`, `acme-1`, …, all of them at *sink*."""
        url = databases.create(self.servers.database_url, name)
        upgrade(url)
        engine = open_engine(url, application_name="load", pool_size=4, statement_timeout=LONG)
        vault = Vault.with_keys(self.settings(url).secret_key)
        for number in range(operators):
            new = NewOperator(
                code=operator_code(number),
                url=sink,
                protocol="pam",
                secret=SECRET,
                close_delay=close_delay,
            )
            with engine.begin() as connection:
                add_operator(connection, new, vault=vault, person=Person("load", "measuring"))
        try:
            yield Database(self, url, engine)
        finally:
            engine.dispose()
            databases.drop(self.servers.database_url, name)

    def _given(self, url: str) -> Mapping[str, str]:
        return {
            "database_url": url,
            "redis_url": self.servers.redis_url,
            "secret_key": self.key,
            "partner_networks": "127.0.0.0/8",
            "gateway_port": "0",
            "flower_port": "0",
            "console_port": "0",
            **self.more,
        }

    def environment(self, url: str) -> dict[str, str]:
        """What a worker's process is given."""
        return celery_process.environment(self.folder, **self._given(url))


@dataclass(frozen=True, slots=True)
class Database:
    """One database of the environment."""

    environment: BenchEnvironment
    url: str
    engine: Engine

    def empty(self) -> None:
        """Start over: no tickets, nothing on the stream, nothing for a checkpoint to write."""
        for tries_left in reversed(range(EMPTY_TRIES)):
            try:
                with self.engine.begin() as connection:
                    connection.execute(EMPTY)
                break
            except OperationalError:  # a deadlock with workers that look for something to do
                if not tries_left:
                    raise
        with self.environment.redis() as redis:
            redis.xtrim(STREAM, maxlen=0, approximate=False)
        self.tidy("CHECKPOINT")

    def tidy(self, command: str) -> None:
        """Run a command that wants no transaction."""
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(command))

    @contextmanager
    def workers(self, *names: str, root: Path = celery_process.ROOT) -> Iterator[list[int]]:
        """Run processes of the Procfile until the block ends, as they stand there; their pids.

        `intake` twice gives two of them. An intake is waited for until it reads the stream.
        *root*: the checkout whose code they run.
        """
        env = self.environment.environment(self.url)
        log = self.environment.folder / "workers.log"
        with ExitStack() as stack, self.environment.redis() as redis:
            redis.delete(STREAM)
            made = [
                stack.enter_context(_process(name, number, root=root, env=env, log=log))
                for number, name in enumerate(names)
            ]

            def ready() -> bool:
                for process in made:
                    celery_process.must_live(process, log)
                return _consumers(redis) == names.count("intake")

            eventually(ready, within=STARTING_MAX)
            yield [process.pid for process in made]
            for process in made:  # all at once: each takes a moment
                process.terminate()


def operator_code(number: int) -> str:
    """Name an operator by its number: the first is `acme`, the next `acme-1`."""
    return f"{OPERATOR}-{number}" if number else OPERATOR


def _consumers(redis: Redis) -> int:
    return len(redis.xinfo_consumers(STREAM, GROUP)) if redis.exists(STREAM) else 0


@contextmanager
def _process(
    name: str, number: int, *, root: Path, env: Mapping[str, str], log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the Procfile's line as a shell does; of several, each under a name of its own."""
    line = command_of(name).replace("@%h", f"-{number}@%h")
    programs = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {line}"],
            cwd=root,
            env={**env, "PATH": programs},
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(celery_process.ENDING_MAX.total_seconds())
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def open_environment(*, room: int = 0) -> Iterator[BenchEnvironment]:
    """Start the servers, with fsync and compose's settings of PostgreSQL; all is gone at the end.

    *room*: bytes that must be free.
    """
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < room:
        raise SystemExit(
            f"{tempfile.gettempdir()} has {free >> 30} GiB free, the benchmark needs {room >> 30}:"
            " make room, or name another folder in TMPDIR"
        )
    with (
        tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder,
        embedded_servers(durable=True) as servers,
        ExitStack() as stay,
    ):
        _set_up(servers.database_url)
        yield BenchEnvironment(
            servers=servers,
            folder=Path(folder),
            key=Fernet.generate_key().decode(),
            began=datetime.now(UTC),  # noqa: TID251 - what comes due in a day must not be due yet
            stay=stay,
            pending={},
        )


def _set_up(database_url: str) -> None:
    """Give PostgreSQL the settings of compose; one that was built without lz4 has pglz."""
    engine = open_engine(database_url, application_name="load", pool_size=1)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for name, value in (postgres_settings() | KEPT_WAL).items():
            accepted = connection.execute(ACCEPTED, {"name": name}).scalar_one()
            given = value if accepted is None or value in accepted else "on"
            connection.execute(text(f"ALTER SYSTEM SET {name} = '{given}'"))
        connection.execute(text("SELECT pg_reload_conf()"))
    engine.dispose()
