"""A second PostgreSQL beside the first, as its synchronous standby, and how they change places."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from sqlalchemy import make_url

from tests.support.databases import owner
from tests.support.wait import eventually
from worker.local.servers import Servers
from worker.local.servers.binaries import ENVIRONMENT, Binaries, find_binaries
from worker.local.servers.data_folder import data_folder, give_to
from worker.local.servers.ports import LOOPBACK
from worker.local.servers.postgres import USER, PostgresServer
from worker.local.servers.privileges import Account, run_as

COPY_SECONDS_MAX: Final = 120
# As the settings of one are copied to the other, both have them.
SETTINGS: Final = (
    "ALTER SYSTEM SET wal_retrieve_retry_interval = '500ms'",
    "ALTER SYSTEM SET wal_keep_size = '256MB'",
)


@dataclass(slots=True)
class Node:
    """One of the two servers."""

    server: PostgresServer
    binaries: Binaries
    account: Account | None

    @property
    def cluster(self) -> Path:
        """The folder that holds its data."""
        return self.server.log_file.parent / "postgres" / "cluster"

    def follow(self, primary: "Node") -> None:
        """Become the standby of *primary*, from a fresh copy of its data, and its synchronous one.

        This server must not run. Its former data is removed.
        """
        login = make_url(primary.server.url)
        shutil.rmtree(self.cluster, ignore_errors=True)
        copied = run_as(
            self.account,
            [
                str(self.binaries.postgres.with_name("pg_basebackup")),
                *(f"--host={LOOPBACK}", f"--port={login.port}", f"--username={USER}"),
                *(f"--pgdata={self.cluster}", "--checkpoint=fast", "--no-sync", "--no-password"),
            ],
            environment={**ENVIRONMENT, "PGPASSWORD": login.password or ""},
            seconds_max=COPY_SECONDS_MAX,
        )
        assert copied.returncode == 0, copied.stdout
        settings = self.cluster / "postgresql.auto.conf"
        source = f"host={LOOPBACK} port={login.port} user={USER} password={login.password}"
        with settings.open("a", encoding="utf-8") as file:
            file.write(f"primary_conninfo = '{source}'\n")
        signal = self.cluster / "standby.signal"
        signal.touch()
        give_to(signal, self.account)
        self.server.start()
        primary.wait_for_standby()

    def wait_for_standby(self) -> None:
        """From now on no COMMIT returns before a standby has it."""
        with owner(self.server.url) as session:

            def synchronous() -> bool:
                states = session.execute("SELECT sync_state FROM pg_stat_replication").fetchall()
                return ("sync",) in states

            session.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            session.execute("SELECT pg_reload_conf()")
            eventually(synchronous)

    def become_primary(self) -> None:
        """Stop following; nobody follows this one yet, so no COMMIT waits for a standby."""
        with owner(self.server.url) as session:
            session.execute("SELECT pg_promote(true, 60)")
            session.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
            session.execute("SELECT pg_reload_conf()")


@dataclass(slots=True)
class PostgresPair:
    """The server of a trial, and its standby."""

    original: Node
    spare: Node


@contextmanager
def standby_of(servers: Servers) -> Iterator[PostgresPair]:
    """Run a synchronous standby of the trial's PostgreSQL until the block ends."""
    beside = servers.postgres.log_file.parent.parent
    password = make_url(servers.database_url).password or ""
    with data_folder(None, within=beside) as made:
        home = replace(made, password=password)
        binaries = find_binaries(home)
        home.room("postgres")
        server = PostgresServer(home, binaries, durable=True)
        pair = PostgresPair(
            original=Node(servers.postgres, binaries, home.account),
            spare=Node(server, binaries, home.account),
        )
        with owner(servers.database_url) as session:
            for setting in SETTINGS:
                session.execute(setting)
            session.execute("SELECT pg_reload_conf()")
        try:
            pair.spare.follow(pair.original)
            yield pair
        finally:
            server.kill()
