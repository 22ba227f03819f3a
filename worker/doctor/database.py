"""Checks PostgreSQL: reachable, recent, the right server, schema and rights, and writable."""

import time
from collections.abc import Iterator
from typing import Final

import psycopg
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlmodel import SQLModel

import models.tables  # noqa: F401 - fills the metadata
from models.database.connection_failures import (
    connection_failures,
    describe_failures,
    remedy_for,
)
from models.database.engine import Transaction
from models.database.session import UnusableDatabase
from models.migrations.finalize import is_finalized
from models.migrations.revisions import current_revision, expected_revision
from models.monitoring.replication import Standbys
from worker.doctor.certificate import verify_failure
from worker.doctor.finding import Finding, doubtful, ok, unknown, wrong

PART: Final = "PostgreSQL"
SCHEMA: Final = "schema"
_REVISIONS: Final = "alembic_version"
_ADDRESS: Final = "SLIPWAY_DATABASE_URL"
_START: Final = (
    "start PostgreSQL, open the firewall for this machine, or fix host and port in"
    f" {_ADDRESS}; without a server of your own: slipway up --embedded"
)

SERVER: Final = text("""
    SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS follows,
           current_setting('fsync') AS fsync, current_setting('autovacuum') AS autovacuum
""")
MISSING_RIGHTS: Final = text("""
    SELECT name FROM unnest(CAST(:tables AS text[])) AS name
     WHERE to_regclass(name) IS NOT NULL
       AND NOT (has_table_privilege(name, 'SELECT') AND has_table_privilege(name, 'INSERT')
                AND has_table_privilege(name, 'UPDATE') AND has_table_privilege(name, 'DELETE'))
     UNION ALL
    SELECT 'ticket_id_seq' WHERE NOT has_sequence_privilege(to_regclass('ticket_id_seq'), 'USAGE')
""")
USER: Final = text("SELECT current_user")
PLACE: Final = text("""
    SELECT current_user AS role, current_schema() AS schema,
           current_setting('search_path') AS search_path,
           coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS creates""")
ELSEWHERE: Final = text("""
    SELECT n.nspname AS name, has_schema_privilege(n.oid, 'USAGE') AS usable
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relname = :table AND c.relkind = 'r'
     ORDER BY usable, name""")


def unreachable(error: OperationalError, *, url: str) -> Finding:
    """Report why no connection to PostgreSQL at *url* could be opened, without any password."""
    cause = error.orig
    if isinstance(cause, UnusableDatabase):
        return wrong(PART, cause.problem, remedy=cause.remedy)
    if cause is None:
        return wrong(PART, f"cannot be reached: {error}", remedy=_START)
    state = cause.sqlstate if isinstance(cause, psycopg.Error) else None
    if (known := remedy_for(cause)) is not None:
        remedy = f"{known} ({_ADDRESS})"
    elif "password authentication failed" in str(cause) or state in {"28P01", "28000"}:
        remedy = f"put the right user and password into {_ADDRESS}"
    elif "does not exist" in str(cause):
        remedy = f"create what is missing on the server (CREATE DATABASE …), or fix {_ADDRESS}"
    elif "startup parameter" in str(cause):
        remedy = (
            "a connection pooler in between refuses this start-up parameter: add it to"
            " ignore_startup_parameters in PgBouncer's configuration"
        )
    else:
        remedy = _START
    whys = (verify_failure(failure, url) for failure in connection_failures(cause))
    because = "".join(f" ({why})" for why in dict.fromkeys(filter(None, whys)))
    return wrong(
        PART, f"cannot be reached: {describe_failures(cause, url)}{because}", remedy=remedy
    )


def check_database(connection: Connection) -> Iterator[Finding]:
    """Check the server behind *connection*, and the schema."""
    server = connection.execute(SERVER).one()
    if server.follows:
        yield wrong(
            PART,
            f"version {server.version}, a read-only replica",
            remedy=f"point {_ADDRESS} to the primary, or to an address that follows it",
        )
    else:
        yield ok(PART, f"version {server.version}")
    if server.fsync != "on":
        yield doubtful(
            PART,
            "fsync is off: a power cut may lose what partners were notified of",
            remedy="set fsync = on in postgresql.conf, unless the data may be lost",
        )
    if server.autovacuum != "on":
        yield doubtful(
            PART,
            "autovacuum is off: tables and indexes will grow without limit",
            remedy="set autovacuum = on in postgresql.conf",
        )
    yield _schema(connection)


def _schema(connection: Connection) -> Finding:
    tables = sorted([_REVISIONS, *SQLModel.metadata.tables])
    missing = connection.execute(MISSING_RIGHTS, {"tables": tables}).scalars().all()
    if missing:
        user = connection.execute(USER).scalar_one()
        return wrong(
            SCHEMA,
            f"{user} may not read and write {', '.join(missing)}",
            remedy="as the tables' owner: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN"
            f' SCHEMA public TO "{user}";'
            f' GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO "{user}"',
        )
    current, expected = current_revision(connection), expected_revision()
    if current is None:
        return _no_tables(connection)
    if current < expected:
        detail = f"revision {current}, this program needs {expected}"
        return wrong(SCHEMA, detail, remedy="run: slipway migrate")
    if not is_finalized(connection):
        return doubtful(
            SCHEMA,
            f"revision {current}; the upgrade is not finalized, so a ticket takes more room",
            remedy="once every process is of this release and none will go back to the one before:"
            " slipway migrate --finalize",
        )
    newer = ", newer than this program: fine while a release rolls out"
    return ok(SCHEMA, f"revision {current}{newer if current > expected else ''}")


def _no_tables(connection: Connection) -> Finding:
    """Tell a database without tables from one whose tables this role does not see."""
    place = connection.execute(PLACE).one()
    elsewhere = connection.execute(ELSEWHERE, {"table": _REVISIONS}).all()
    if hidden := [row.name for row in elsewhere if not row.usable]:
        return wrong(
            SCHEMA,
            f"{place.role} may not use the schema {hidden[0]}, which has the tables",
            remedy=f'as its owner: GRANT USAGE ON SCHEMA "{hidden[0]}" TO "{place.role}"',
        )
    if elsewhere:
        name = elsewhere[0].name
        return wrong(
            SCHEMA,
            f"the tables are in the schema {name}, and search_path is {place.search_path}",
            remedy=f"append ?options=-c%20search_path%3D{name} to {_ADDRESS}, or ALTER ROLE"
            f' "{place.role}" SET search_path = {name}',
        )
    if not place.creates:
        return wrong(
            SCHEMA,
            f"there are no tables, and {place.role} may create none in"
            f" {place.schema or 'any schema of its search_path'}",
            remedy=f"as the schema's owner: GRANT CREATE ON SCHEMA {place.schema or '…'} TO"
            f' "{place.role}", or set SLIPWAY_MIGRATION_DATABASE_URL to a role that may; then run:'
            " slipway migrate",
        )
    return wrong(SCHEMA, "there are no tables", remedy="run: slipway migrate")


WRITING: Final = "PostgreSQL writes"
_SLOW_SECONDS: Final = 1.0
# No other session sees it: it is removed in the same transaction.
WRITE: Final = text("""
    INSERT INTO rejected_input (entry_id, raw, whole, reason, message, received_at)
    VALUES ('doctor', '', false, 'not_json', 'written by slipway doctor', clock_timestamp())
    ON CONFLICT (entry_id) DO NOTHING""")
COMMIT_HERE: Final = text("SET LOCAL synchronous_commit = local")
REMOVE: Final = text("DELETE FROM rejected_input WHERE entry_id = 'doctor'")
SESSION: Final = text("""
    SELECT current_setting('transaction_isolation') AS isolation,
           current_setting('TimeZone') AS zone, current_setting('statement_timeout') AS statement,
           current_setting('lock_timeout') AS lock,
           current_setting('synchronous_commit') AS synchronous,
           current_setting('server_encoding') AS encoding,
           current_setting('search_path') AS search_path""")


def check_session(connection: Connection) -> Finding:
    """Report the settings a session really has. If they are not ours, none can be opened."""
    settings = connection.execute(SESSION).one()
    return ok(
        PART,
        f"a session has {settings.isolation}, {settings.zone}, {settings.encoding},"
        f" statement_timeout {settings.statement}, lock_timeout {settings.lock},"
        f" synchronous_commit {settings.synchronous}, search_path {settings.search_path}",
    )


def check_writing(transaction: Transaction, standbys: Standbys) -> Iterator[Finding]:
    """Write a row, remove it and commit, as the intake does with a batch of events.

    No commit waits without a limit for *standbys* that are missing, or might be.
    """
    if standbys.stalled:
        yield unknown(WRITING, "fix the PostgreSQL standbys first: a commit would wait for them")
        return
    began = time.monotonic()
    try:
        with transaction() as connection:
            if standbys.required and standbys.hidden:
                connection.execute(COMMIT_HERE)
            connection.execute(WRITE)
            connection.execute(REMOVE)
    except DBAPIError as error:
        yield refused(error)
        return
    seconds = time.monotonic() - began
    if seconds > _SLOW_SECONDS:
        yield doubtful(
            WRITING,
            f"a row was written and committed, which took {seconds:.1f} s",
            remedy="check the disk, the locks (pg_stat_activity), and whether a synchronous standby"
            " is unavailable (pg_stat_replication)",
        )
    else:
        yield ok(WRITING, "a row was written, removed and committed")


def refused(error: DBAPIError) -> Finding:
    """Report why PostgreSQL refused a statement, without values."""
    cause = error.orig
    state = cause.sqlstate if isinstance(cause, psycopg.Error) else None
    lines = str(cause).strip().splitlines()
    message = lines[0] if lines else type(cause).__name__
    if state == "25006":
        remedy = (
            "find out why it is read-only: a failover (SLIPWAY_DATABASE_URL must point to the"
            " primary), a full disk at your provider, or default_transaction_read_only"
        )
    else:
        remedy = (
            "PostgreSQL's log has the whole error; deploy/RUNBOOK.md,"
            " SlipwayDatabaseErrorUnexplained, explains the SQLSTATEs"
        )
    return wrong(WRITING, f"refused: {message} (SQLSTATE {state or 'none'})", remedy=remedy)
