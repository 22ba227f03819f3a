"""A PostgreSQL that follows another: how tests make a standby, and promote it."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import make_url

from tests.support.databases import owner
from tests.support.wait import eventually
from worker.local.servers.binaries import ENVIRONMENT, Binaries
from worker.local.servers.data_folder import give_to
from worker.local.servers.ports import LOOPBACK
from worker.local.servers.postgres import USER, PostgresServer
from worker.local.servers.privileges import Account, run_as

COPY_SECONDS_MAX: Final = 120
SYNCHRONOUS: Final = "ALTER SYSTEM SET synchronous_standby_names = '*'"
ASYNCHRONOUS: Final = "ALTER SYSTEM SET synchronous_standby_names = ''"


@dataclass(slots=True)
class Node:
    """A server that others follow, or that follows one. All have the same password."""

    server: PostgresServer
    binaries: Binaries
    account: Account | None

    @property
    def cluster(self) -> Path:
        """The folder that holds its data."""
        return self.server.log_file.parent / "postgres" / "cluster"

    def follow(self, primary: "Node") -> None:
        """Become the standby of *primary*, from a fresh copy of its data.

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
        eventually(lambda: primary.standbys() != [])

    def wait_for_standby(self) -> None:
        """From now on no COMMIT returns before a standby has it."""
        with owner(self.server.url) as session:
            session.execute(SYNCHRONOUS)
            session.execute("SELECT pg_reload_conf()")
        eventually(lambda: "sync" in self.standbys())

    def standbys(self) -> list[str]:
        """What those that follow are to this one: `async`, `sync`."""
        with owner(self.server.url) as session:
            rows = session.execute("SELECT sync_state FROM pg_stat_replication").fetchall()
        return [state for (state,) in rows]

    def become_primary(self) -> None:
        """Stop following; nobody follows this one yet, so no COMMIT waits for a standby."""
        with owner(self.server.url) as session:
            session.execute("SELECT pg_promote(true, 60)")
            session.execute(ASYNCHRONOUS)
            session.execute("SELECT pg_reload_conf()")
