"""A PostgreSQL and a standby that streams from it: two real servers, and one that is promoted."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, LiteralString
from urllib.parse import urlencode

import psycopg
from sqlalchemy import Engine

from models.database.engine import open_engine
from tests.support.postgres_node import Node
from tests.support.server_folders import roomy_memory
from tests.support.wait import eventually
from worker.local.servers.binaries import find_binaries
from worker.local.servers.data_folder import data_folder
from worker.local.servers.ports import LOOPBACK
from worker.local.servers.postgres import DATABASE, USER, PostgresServer


@dataclass(slots=True)
class Replicated:
    """The primary of the beginning, and its standby. Both keep their ports."""

    first: Node
    second: Node
    password: str

    @property
    def primary(self) -> PostgresServer:
        """The primary of the beginning."""
        return self.first.server

    @property
    def standby(self) -> PostgresServer:
        """What follows it at the beginning."""
        return self.second.server

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
        self.first.wait_for_standby()

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
        eventually(lambda: self.first.standbys() == [])

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
        primary, standby = (  # durable: the other kind has no replicas
            Node(
                PostgresServer(replace(home, password=first.password), binaries, durable=True),
                binaries,
                home.account,
            )
            for home in (first, second)
        )
        second.room("postgres")
        try:
            primary.server.start()
            standby.follow(primary)
            yield Replicated(primary, standby, first.password)
        finally:
            standby.server.stop()
            primary.server.stop()


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    """Give an engine on *url*, as a process has it."""
    engine = open_engine(url, application_name="tests")
    try:
        yield engine
    finally:
        engine.dispose()
