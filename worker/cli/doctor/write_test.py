"""Has PostgreSQL keep something, and looks at the session that our processes get."""

import time
from collections.abc import Iterator
from typing import Final

import psycopg
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from models.database.engine import Transaction
from worker.cli.doctor.database import PART
from worker.cli.doctor.finding import Finding, doubtful, ok, wrong

WRITING: Final = "PostgreSQL writes"
_SLOW_SECONDS: Final = 1.0
# Nobody sees it: it is gone again when the transaction ends.
WRITE: Final = text("""
    INSERT INTO rejected_input (entry_id, raw, whole, reason, message, received_at)
    VALUES ('doctor', '', false, 'not_json', 'written by slipway doctor', clock_timestamp())
    ON CONFLICT (entry_id) DO NOTHING""")
REMOVE: Final = text("DELETE FROM rejected_input WHERE entry_id = 'doctor'")
SESSION: Final = text("""
    SELECT current_setting('transaction_isolation') AS isolation,
           current_setting('TimeZone') AS zone, current_setting('statement_timeout') AS statement,
           current_setting('lock_timeout') AS lock,
           current_setting('synchronous_commit') AS synchronous,
           current_setting('server_encoding') AS encoding,
           current_setting('search_path') AS search_path""")


def examine_session(connection: Connection) -> Finding:
    """Say which settings a session really has. Where they are not ours, none is opened."""
    found = connection.execute(SESSION).one()
    return ok(
        PART,
        f"a session has {found.isolation}, {found.zone}, {found.encoding}, statement_timeout"
        f" {found.statement}, lock_timeout {found.lock}, synchronous_commit {found.synchronous},"
        f" search_path {found.search_path}",
    )


def examine_writing(transaction: Transaction) -> Iterator[Finding]:
    """Write a row, remove it and commit: as a chunk of events does."""
    began = time.monotonic()
    try:
        with transaction() as connection:
            connection.execute(WRITE)
            connection.execute(REMOVE)
    except DBAPIError as error:
        yield refused(error)
        return
    took = time.monotonic() - began
    if took > _SLOW_SECONDS:
        yield doubtful(
            WRITING,
            f"a row was written and committed, which took {took:.1f} s",
            mend="look at the disk, at locks (pg_stat_activity), and whether a synchronous standby"
            " is away (pg_stat_replication)",
        )
    else:
        yield ok(WRITING, "a row was written, removed and committed")


def refused(error: DBAPIError) -> Finding:
    """Say what PostgreSQL answered instead of doing it, without values."""
    cause = error.orig
    state = cause.sqlstate if isinstance(cause, psycopg.Error) else None
    lines = str(cause).strip().splitlines()
    told = lines[0] if lines else type(cause).__name__
    if state == "25006":
        mend = (
            "find out who made it read-only: a failover (SLIPWAY_DATABASE_URL must lead to the"
            " primary), a full disk at your provider, or default_transaction_read_only"
        )
    else:
        mend = (
            "PostgreSQL's log has the whole error; deploy/RUNBOOK.md,"
            " SlipwayDatabaseErrorUnexplained, says what SQLSTATEs mean"
        )
    return wrong(WRITING, f"refused: {told} (SQLSTATE {state or 'none'})", mend=mend)
