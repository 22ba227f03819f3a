"""Bring the schema to the revision this code expects, under load: `slipway migrate`.

One at a time. Each revision is a transaction of its own, so whoever is stopped goes on where it
ended. Who waits for a lock gives way after 3 s to the traffic behind it, and tries again.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Final

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from models.database.engine import open_engine
from models.migrations.blocking_sessions import (
    BlockingSession,
    advisory_lock_holders,
    describe_sessions,
    watch_blocking_sessions,
)
from models.migrations.lock_retry import LockRetryPolicy
from models.platform.durations import format_duration

Tell = Callable[[str], None]
Wait = Callable[[float], object]

_SCRIPTS: Final = Path(__file__).parent
VERSIONS: Final = _SCRIPTS / "versions"
# One migration at a time, whoever starts it; the number is arbitrary, but everybody's.
_KEY: Final = 7541130926
# Asked for again and again: to wait inside the statement is to hold a snapshot, for which the other
# one's concurrent index waits, and it holds what we wait for.
_TAKE_TURN: Final = text("SELECT pg_try_advisory_lock(:key)")
_LOOK_AGAIN: Final = timedelta(seconds=1)
# Of a session whose process was killed nothing may stay, neither locks nor its turn; and what
# `open_engine` does for statements that look rows up by their keys is no good here.
_SESSION: Final = text("""
    SELECT set_config(name, value, false)
      FROM (VALUES ('client_connection_check_interval', '1s'), ('tcp_keepalives_idle', '30'),
                   ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '3'),
                   ('enable_seqscan', 'on'), ('enable_bitmapscan', 'on'),
                   ('enable_hashjoin', 'on'), ('enable_mergejoin', 'on')) AS s(name, value)""")
_PID: Final = text("SELECT pg_backend_pid()")
_GIVE_WAY: Final = frozenset(
    {"55P03", "40P01", "40001"}
)  # no lock in time; deadlock; serialization


class NotMigrated(Exception):
    """The schema is not what this code needs; the revisions that were done stay."""


def upgrade(
    database_url: str,
    *,
    tell: Tell = lambda _: None,
    patience: LockRetryPolicy | None = None,
    versions: Sequence[Path] = (VERSIONS,),
    wait: Wait | None = None,
) -> None:
    """Create or upgrade the schema; does nothing where it is up to date, or newer than this code.

    A second call waits for the first. *tell* hears what is done and who is waited for, *wait* lets
    seconds pass; *versions* are the folders with the revisions. Raises NotMigrated when a lock was
    not to be had in all tries, `sqlalchemy.exc.OperationalError` where no server answers.
    """
    limits = patience or LockRetryPolicy()
    engine = open_engine(
        database_url,
        application_name="slipway migrate",
        statement_timeout=timedelta(0),  # none: what is cut off has to be done all over again
        lock_timeout=limits.lock_timeout,
    )
    try:
        with engine.connect() as connection:
            connection.execute(_SESSION)
            connection.commit()
            config = _config(versions)
            config.attributes["connection"] = connection
            run = _Upgrade(engine, connection, config, limits, tell, wait or Event().wait)
            run.take_turn()  # given back when the engine closes the session
            run.apply_all()
    finally:
        engine.dispose()


def expected_revision() -> str:
    """The revision this code was written for."""
    head = ScriptDirectory.from_config(_config((VERSIONS,))).get_current_head()
    assert head is not None, "there is at least one migration"
    return head


def current_revision(connection: Connection) -> str | None:
    """The revision the database is at; None before the first migration."""
    return MigrationContext.configure(connection).get_current_revision()


@dataclass(frozen=True, slots=True)
class _Upgrade:
    """One call of `upgrade`."""

    engine: Engine
    connection: Connection
    config: Config
    patience: LockRetryPolicy
    tell: Tell
    wait: Wait

    def take_turn(self) -> None:
        """Wait until no other migration of this database is going on."""
        others: Sequence[BlockingSession] = ()
        for look in range(max(1, self.patience.turn_max // _LOOK_AGAIN)):
            taken = self.connection.execute(_TAKE_TURN, {"key": _KEY}).scalar_one()
            others = () if taken else advisory_lock_holders(self.connection, _KEY)
            self.connection.commit()
            if taken:
                return
            if not look:
                self.tell(f"waits for another migration: {describe_sessions(others)}")
            self.wait(_LOOK_AGAIN.total_seconds())
        raise NotMigrated(
            f"another migration has not ended for {format_duration(self.patience.turn_max)}:"
            f" {describe_sessions(others)}; look what it waits for, or end it with"
            " SELECT pg_terminate_backend(its process)"
        )

    def apply_all(self) -> None:
        """Apply what is missing, oldest first."""
        current = current_revision(self.connection)
        self.connection.commit()
        for revision in self._missing(current):
            self.tell(f"{_title(revision)}: begins")
            self._apply(revision)
            self.tell(f"{revision.revision} done")

    def _missing(self, current: str | None) -> list[Script]:
        script = ScriptDirectory.from_config(self.config)
        known = list(script.walk_revisions())[::-1]
        names = [one.revision for one in known]
        if current is None:
            return known
        if current in names:
            return known[names.index(current) + 1 :]
        if current > names[-1]:  # numbers of four digits; a release that was taken back finds this
            self.tell(f"the schema is at {current}, newer than this program's {names[-1]}")
            return []
        raise NotMigrated(
            f"the database is at revision {current!r}, which no release has;"
            " is this Slipway's database? See SLIPWAY_DATABASE_URL"
        )

    def _apply(self, revision: Script) -> None:
        for pause in self.patience.pauses():
            holders = self._try(revision)
            if holders is None:
                return
            self.tell(
                f"{revision.revision} gives way: {self._in_the_way(holders)};"
                f" tries again in {format_duration(pause)}"
            )
            self.wait(pause.total_seconds())
        holders = self._try(revision)
        if holders is not None:
            raise NotMigrated(
                f"revision {_title(revision)}: {self._in_the_way(holders)}, in"
                f" {self.patience.tries} tries; all revisions before it are in force. When"
                " that transaction has ended, or SELECT pg_terminate_backend(its process) has ended"
                " it, run `slipway migrate` again"
            )

    def _try(self, revision: Script) -> Sequence[BlockingSession] | None:
        """Apply *revision*: None; or whoever was in the way, and nothing is done."""
        pid = self.connection.execute(_PID).scalar_one()
        self.connection.commit()
        with watch_blocking_sessions(
            self.engine, pid, lock_timeout=self.patience.lock_timeout
        ) as watch:
            try:
                command.upgrade(self.config, revision.revision)
                self.connection.commit()
            except DBAPIError as error:
                if not _gives_way(error):
                    raise
                self.connection.rollback()
                return watch.seen
        return None

    def _in_the_way(self, holders: Sequence[BlockingSession]) -> str:
        limit = format_duration(self.patience.lock_timeout)
        return f"could not get a lock within {limit}; it is held by {describe_sessions(holders)}"


def _gives_way(error: DBAPIError) -> bool:
    return isinstance(error.orig, psycopg.Error) and error.orig.sqlstate in _GIVE_WAY


def _title(revision: Script) -> str:
    return f"{revision.revision} {revision.doc.rstrip('.')}"


def _config(versions: Sequence[Path]) -> Config:
    config = Config()
    config.set_main_option("script_location", _escaped(str(_SCRIPTS)))
    config.set_main_option("path_separator", "os")
    config.set_main_option("version_locations", _escaped(os.pathsep.join(map(str, versions))))
    return config


def _escaped(value: str) -> str:
    return value.replace("%", "%%")
