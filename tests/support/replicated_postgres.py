"""A PostgreSQL and a standby that streams from it: two real servers, and one that is promoted."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString
from urllib.parse import urlencode

import psycopg
from sqlalchemy import Engine

from models.database.engine import open_engine
from tests.support.backups import run
from tests.support.server_folders import roomy_memory
from tests.support.wait import eventually
from worker.local.servers.binaries import find_binaries
from worker.local.servers.data_folder import data_folder, give_to
from worker.local.servers.ports import LOOPBACK
from worker.local.servers.postgres import DATABASE, USER, PostgresServer

SYNCHRONOUS = "ALTER SYSTEM SET synchronous_standby_names = '*'"
ASYNCHRONOUS = "ALTER SYSTEM SET synchronous_standby_names = ''"


@dataclass(slots=True)
class Replicated:
    """The primary of the beginning, and its standby. Both keep their ports."""

    primary: PostgresServer
    standby: PostgresServer
    password: str

    def url(self, **parameters: str) -> str:
        """The address that names both."""
        ports = (self.primary.port, self.standby.port)
        hosts = ",".join(f"{LOOPBACK}:{port}" for port in ports)
        return f"postgresql://{USER}:{self.password}@{hosts}/{DATABASE}?{urlencode(parameters)}"

    def own_url(self, server: PostgresServer) -> str:
        """The address of one of them."""
        return f"postgresql://{USER}:{self.password}@{LOOPBACK}:{server.port}/{DATABASE}"

    def ask(self, server: PostgresServer, question: LiteralString) -> Any:  # noqa: ANN401 - whatever the one column is
        """The one value that *server* answers."""
        with psycopg.connect(self.own_url(server), autocommit=True) as connection:
            row = connection.execute(question).fetchone()
        assert row is not None, "the question has an answer"
        return row[0]

    def change(self, server: PostgresServer, *settings: LiteralString) -> None:
        """Change settings of *server* and have it read them."""
        with psycopg.connect(self.own_url(server), autocommit=True) as connection:
            for setting in settings:
                connection.execute(setting)
            connection.execute("SELECT pg_reload_conf()")

    def wait_for_standby(self) -> None:
        """Have each commit wait for the standby from now on."""
        self.change(self.primary, SYNCHRONOUS)
        eventually(lambda: self.states() == ["sync"])

    def states(self) -> list[str]:
        """What the standbys are to the primary."""
        question = "SELECT coalesce(array_agg(sync_state), '{}') FROM pg_stat_replication"
        states: list[str] = self.ask(self.primary, question)
        return states

    def until_replayed(self) -> None:
        """Wait until the standby has all that the primary has."""
        now = self.ask(self.primary, "SELECT pg_current_wal_lsn()::text")
        with psycopg.connect(self.own_url(self.standby), autocommit=True) as connection:

            def has_it() -> bool:
                row = connection.execute("SELECT pg_last_wal_replay_lsn() >= %s", [now]).fetchone()
                return row is not None and bool(row[0])

            eventually(has_it)

    def cut_off(self) -> None:
        """Let the standby receive nothing any more, as behind a network that is down."""
        self.change(self.standby, "ALTER SYSTEM SET primary_conninfo = ''")
        eventually(lambda: self.states() == [])

    def fail_over(self) -> None:
        """Kill the primary and promote the standby."""
        self.primary.kill()
        self.ask(self.standby, "SELECT pg_promote()")


@contextmanager
def replicated_postgres() -> Iterator[Replicated]:
    """Run both; the standby follows asynchronously at first."""
    with (
        data_folder(None, within=roomy_memory()) as first,
        data_folder(None, within=roomy_memory()) as second,
    ):
        binaries = find_binaries(first)
        primary = PostgresServer(first, binaries, durable=True)  # the other kind has no replicas
        standby = PostgresServer(second, binaries, durable=True)
        pair = Replicated(primary, standby, first.password)
        try:
            primary.start()
            cluster = second.room("postgres") / "cluster"
            run(
                f'pg_basebackup --dbname "$PRIMARY" --pgdata {cluster} --write-recovery-conf'
                " --checkpoint fast",
                PRIMARY=pair.own_url(primary),
            )
            for path in (cluster, *cluster.rglob("*")):
                give_to(path, second.account)
            standby.start()
            eventually(lambda: pair.states() == ["async"])
            yield pair
        finally:
            standby.stop()
            primary.stop()


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    """Give an engine on *url*, as a process has it."""
    engine = open_engine(url, application_name="tests")
    try:
        yield engine
    finally:
        engine.dispose()
