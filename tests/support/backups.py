"""Backups and restores by the very commands of deploy/BACKUP.md, on servers of a test's own."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import psycopg
from redis import Redis

from tests.support.server_folders import roomy_memory
from tests.support.sources import ROOT
from tests.support.wait import eventually
from worker.local.servers.binaries import POSTGRES_BIN, POSTGRES_PACKAGE, find_binaries
from worker.local.servers.data_folder import DataFolder, data_folder, give_to
from worker.local.servers.postgres import PostgresServer
from worker.local.servers.valkey import ValkeyServer

PAGE: Final = ROOT / "deploy" / "BACKUP.md"
STANDS_FOR: Final = "/backup"  # the page's own folder for backups; each test has another
_SECONDS_MAX: Final = 60
_BLOCK: Final = re.compile(r"^```(?:sh|sql) ([a-z-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(name: str, folder: Path) -> str:
    """The block of the page that is called *name*, with *folder* where backups are kept."""
    blocks: dict[str, str] = dict(_BLOCK.findall(PAGE.read_text(encoding="utf-8")))
    return blocks[name].replace(STANDS_FOR, str(folder))


def run(script: str, **variables: str) -> str:
    """Run *script* as a person would, with PostgreSQL's own programs; what it said.

    Raises AssertionError, with what it said, when one of its commands fails.
    """
    package = find_spec(POSTGRES_PACKAGE)
    assert package is not None, "the embedded servers come from it"
    assert package.origin is not None, "it is a package with a file"
    programs = Path(package.origin).parent / POSTGRES_BIN
    done = subprocess.run(
        ["/bin/sh", "-euc", script],
        cwd=ROOT,
        env={"PATH": f"{programs}:{os.environ['PATH']}", "LC_ALL": "C", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS_MAX,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True, slots=True)
class Restorable:
    """A PostgreSQL that archives its WAL, a Valkey, and a folder for the backups of both."""

    home: DataFolder
    postgres: PostgresServer
    valkey: ValkeyServer

    @property
    def backup(self) -> Path:
        """Where backups are kept."""
        return self.home.room("backup")

    def ask(self, query: str) -> Any:  # noqa: ANN401 - whatever the one column is
        """The one value that *query* gives."""
        ((value,),) = self.rows(query)
        return value

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows that *query* gives."""
        with psycopg.connect(self._plain_url, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    def archive(self) -> None:
        """Have the WAL archived from now on, as the page says."""
        wal = self.backup / "wal"
        wal.mkdir()
        give_to(wal, self.home.account)
        with psycopg.connect(self._plain_url, autocommit=True) as connection:
            for statement in commands("archive", self.backup).strip().split("\n"):
                connection.execute(statement.encode())
        self.postgres.stop()
        self.postgres.start()

    def back_up(self) -> None:
        """Take a base backup of PostgreSQL, and a copy of what Valkey has written."""
        run(commands("base-backup", self.backup), DATABASE_URL=self._plain_url)
        with Redis.from_url(self.valkey.url) as redis:
            redis.config_set("auto-aof-rewrite-percentage", 0)
            shutil.copytree(self._redis_log, self.backup / "redis")

    def until_archived(self) -> None:
        """Wait until all that was written so far is in the archive."""
        segment = self.ask("SELECT pg_walfile_name(pg_switch_wal())")
        eventually((self.backup / "wal" / segment).exists)

    def restore(self, *, until: str) -> None:
        """Lose both servers, and bring back their backups: PostgreSQL as of the moment *until*."""
        self.postgres.kill()
        self.valkey.kill()
        cluster = self.home.room("postgres") / "cluster"
        shutil.rmtree(cluster)
        shutil.rmtree(self._redis_log)
        run(commands("restore", self.backup), PGDATA=str(cluster), RESTORE_TO=until)
        shutil.copytree(self.backup / "redis", self._redis_log)
        for made in (cluster, self._redis_log):
            for path in (made, *made.rglob("*")):
                give_to(path, self.home.account)
        self.postgres.start()
        self.valkey.start()

    @property
    def _plain_url(self) -> str:
        return self.postgres.url.replace("+psycopg", "")

    @property
    def _redis_log(self) -> Path:
        return self.home.room("valkey") / "appendonlydir"


@contextmanager
def restorable_servers() -> Iterator[Restorable]:
    """Run both servers, with their data on whatever is quick here."""
    with data_folder(None, within=roomy_memory()) as home:
        binaries = find_binaries(home)
        made = Restorable(
            home, PostgresServer(home, binaries, durable=True), ValkeyServer(home, binaries)
        )
        try:
            made.postgres.start()
            made.valkey.start()
            yield made
        finally:
            made.postgres.stop()
            made.valkey.stop()
