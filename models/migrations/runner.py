"""Upgrades the schema to the revision that this code expects, under load: `slipway migrate`.

One migration runs at a time. Each revision is a transaction of its own, so a stopped migration
continues where it ended. One that waits for a lock gives way after 3 s to the traffic behind it,
and tries again.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Final

import psycopg
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationStep
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
from models.migrations.finalize import NEEDED, finalize
from models.migrations.lock_retry import LockRetryPolicy
from models.migrations.revisions import VERSIONS, current_revision
from models.platform.durations import format_duration
from models.platform.errors import SlipwayError

Report = Callable[[str], None]
Wait = Callable[[float], object]

_SCRIPTS: Final = Path(__file__).parent
# One migration at a time, wherever it is started; the number is arbitrary, but the same for all.
_LOCK_KEY: Final = 7541130926
# Polled: waiting inside the statement would hold a snapshot, for which the other migration's
# concurrent index build waits, and that migration holds the lock.
_TRY_LOCK: Final = text("SELECT pg_try_advisory_lock(:key)")
_POLL_INTERVAL: Final = timedelta(seconds=1)
# A session must end with its killed process, and release its locks; and the planner settings of
# `open_engine`, for statements that look rows up by their keys, are wrong here.
_SESSION: Final = text("""
    SELECT set_config(name, value, false)
      FROM (VALUES ('client_connection_check_interval', '1s'), ('tcp_keepalives_idle', '30'),
                   ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '3'),
                   ('enable_seqscan', 'on'), ('enable_bitmapscan', 'on'),
                   ('enable_hashjoin', 'on'), ('enable_mergejoin', 'on')) AS s(name, value)""")
_PID: Final = text("SELECT pg_backend_pid()")
_RETRIED_STATES: Final = frozenset(
    {"55P03", "40P01", "40001"}
)  # no lock in time; deadlock; serialization


class NotMigrated(SlipwayError):
    """The schema is not what this code needs; revisions that were applied stay."""


def upgrade(
    database_url: str,
    *,
    report: Report = lambda _: None,
    patience: LockRetryPolicy | None = None,
    versions: Sequence[Path] = (VERSIONS,),
    wait: Wait | None = None,
) -> None:
    """Create or upgrade the schema; do nothing if it is up to date, or newer than this code.

    A second call waits for the first. *report* gets a line for each step and each wait, *wait* lets
    seconds pass; *versions* are the folders with the revisions. Raises NotMigrated if no try got
    its lock, `sqlalchemy.exc.OperationalError` if no server responds.
    """
    limits = patience or LockRetryPolicy()
    engine = open_engine(
        database_url,
        application_name="slipway migrate",
        statement_timeout=timedelta(0),  # none: a statement that is cut off has to be repeated
        lock_timeout=limits.lock_timeout,
        own_session=True,
    )
    try:
        with engine.connect() as connection:
            connection.execute(_SESSION)
            connection.commit()
            config = _config(versions)
            config.attributes["connection"] = connection
            scripts = ScriptDirectory.from_config(config)
            run = _Upgrade(
                engine, connection, scripts, config, limits, report, wait or Event().wait
            )
            run.take_lock()  # released when the engine closes the session
            run.apply_all()
    finally:
        engine.dispose()


@dataclass(frozen=True, slots=True)
class _Upgrade:
    """One call of `upgrade`."""

    engine: Engine
    connection: Connection
    scripts: ScriptDirectory  # one for all: each reads every revision's file
    config: Config
    patience: LockRetryPolicy
    report: Report
    wait: Wait

    def take_lock(self) -> None:
        """Wait until no other migration of this database is running."""
        others: Sequence[BlockingSession] = ()
        for poll in range(max(1, self.patience.turn_max // _POLL_INTERVAL)):
            taken = self.connection.execute(_TRY_LOCK, {"key": _LOCK_KEY}).scalar_one()
            others = () if taken else advisory_lock_holders(self.connection, _LOCK_KEY)
            self.connection.commit()
            if taken:
                return
            if not poll:
                self.report(f"waiting for another migration: {describe_sessions(others)}")
            self.wait(_POLL_INTERVAL.total_seconds())
        raise NotMigrated(
            f"another migration has not ended for {format_duration(self.patience.turn_max)}:"
            f" {describe_sessions(others)}; find out what it waits for, or end it with"
            " SELECT pg_terminate_backend(its process)"
        )

    def apply_all(self) -> None:
        """Apply the missing revisions, oldest first."""
        current = current_revision(self.connection)
        self.connection.commit()
        for revision in self._missing(current):
            self.report(f"{_title(revision)}: started")
            self._apply(revision)
            self.report(f"{revision.revision} done")
        if current is None:
            self._finalize()

    def _finalize(self) -> None:
        """Let a new installation write as this release does: no older process has worked there."""
        revision = current_revision(self.connection)
        if revision is not None and revision >= NEEDED:
            finalize(self.connection, revision)
        self.connection.commit()

    def _missing(self, current: str | None) -> list[Script]:
        known = list(self.scripts.walk_revisions())[::-1]
        names = [revision.revision for revision in known]
        if current is None:
            return known
        if current in names:
            return known[names.index(current) + 1 :]
        if current > names[-1]:  # numbers of four digits; so it is after a release was rolled back
            self.report(f"the schema is at {current}, newer than this program's {names[-1]}")
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
            self.report(
                f"{revision.revision} gives way: {self._lock_problem(holders)};"
                f" trying again in {format_duration(pause)}"
            )
            self.wait(pause.total_seconds())
        holders = self._try(revision)
        if holders is not None:
            raise NotMigrated(
                f"revision {_title(revision)}: {self._lock_problem(holders)}, in"
                f" {self.patience.tries} tries; all revisions before it are applied. When"
                " that transaction has ended, or SELECT pg_terminate_backend(its process) has ended"
                " it, run `slipway migrate` again"
            )

    def _try(self, revision: Script) -> Sequence[BlockingSession] | None:
        """Apply *revision* and return None; or return the sessions that blocked it."""
        pid = self.connection.execute(_PID).scalar_one()
        self.connection.commit()
        with watch_blocking_sessions(
            self.engine, pid, lock_timeout=self.patience.lock_timeout
        ) as watch:
            try:
                self._run(revision)
                self.connection.commit()
            except DBAPIError as error:
                if not _is_retried(error):
                    raise
                self.connection.rollback()
                return watch.seen
        return None

    def _run(self, revision: Script) -> None:
        step = MigrationStep.upgrade_from_script(self.scripts.revision_map, revision)
        with EnvironmentContext(
            self.config, self.scripts, fn=lambda *_: [step], destination_rev=revision.revision
        ):
            self.scripts.run_env()

    def _lock_problem(self, holders: Sequence[BlockingSession]) -> str:
        limit = format_duration(self.patience.lock_timeout)
        return f"could not get a lock within {limit}; it is held by {describe_sessions(holders)}"


def _is_retried(error: DBAPIError) -> bool:
    return isinstance(error.orig, psycopg.Error) and error.orig.sqlstate in _RETRIED_STATES


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
