"""Examines PostgreSQL: reached, new enough, the right server, the right schema, enough rights."""

from collections.abc import Iterator
from typing import Final

import psycopg
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError
from sqlmodel import SQLModel

import models.tables  # noqa: F401 - fills the metadata
from models.database.session import UnusableDatabase
from models.migrations.runner import current_revision, expected_revision
from worker.cli.doctor.finding import Finding, doubtful, ok, wrong

PART: Final = "PostgreSQL"
SCHEMA: Final = "schema"
_VERSION_LEAST: Final = 150_000
_REVISIONS: Final = "alembic_version"
_ADDRESS: Final = "SLIPWAY_DATABASE_URL"

SERVER: Final = text("""
    SELECT CAST(current_setting('server_version_num') AS int) AS number,
           current_setting('server_version') AS version, pg_is_in_recovery() AS follows,
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


def unreachable(error: OperationalError) -> Finding:
    """Say why PostgreSQL could not be connected to, in words that hold no password."""
    cause = error.orig
    if isinstance(cause, UnusableDatabase):
        return wrong(PART, cause.problem, mend=cause.remedy)
    state = cause.sqlstate if isinstance(cause, psycopg.Error) else None
    lines = str(cause).strip().splitlines()
    told = lines[-1] if lines else type(cause).__name__
    if "password authentication failed" in str(cause) or state in {"28P01", "28000"}:
        mend = f"put the right user and password into {_ADDRESS}"
    elif "does not exist" in str(cause):
        mend = f"create what is missing on the server (CREATE DATABASE …), or mend {_ADDRESS}"
    elif "startup parameter" in str(cause):
        mend = (
            "there is a pooler in between that does not pass on what a session is opened with: set"
            f" {_ADDRESS} to the address of the server itself"
        )
    else:
        mend = (
            "start PostgreSQL, let this machine through to it, or mend host and port in"
            f" {_ADDRESS}; with no server at hand: slipway up --embedded"
        )
    return wrong(PART, f"cannot be reached: {told}", mend=mend)


def examine_database(connection: Connection) -> Iterator[Finding]:
    """Look at the server behind *connection*, and at the schema."""
    server = connection.execute(SERVER).one()
    if server.number < _VERSION_LEAST:
        yield wrong(
            PART,
            f"version {server.version}",
            mend="move to PostgreSQL 15 or later: older ones miss what the tables need",
        )
    elif server.follows:
        yield wrong(
            PART,
            f"version {server.version}, a replica that takes no changes",
            mend=f"let {_ADDRESS} lead to the primary, or to an address that follows it",
        )
    else:
        yield ok(PART, f"version {server.version}")
    if server.fsync != "on":
        yield doubtful(
            PART,
            "fsync is off: a power cut may lose what partners were told",
            mend="set fsync = on in postgresql.conf, unless the data may be lost",
        )
    if server.autovacuum != "on":
        yield doubtful(
            PART,
            "autovacuum is off: tables and indexes will grow without end",
            mend="set autovacuum = on in postgresql.conf",
        )
    yield _schema(connection)


def _schema(connection: Connection) -> Finding:
    tables = sorted([_REVISIONS, *SQLModel.metadata.tables])
    lacking = connection.execute(MISSING_RIGHTS, {"tables": tables}).scalars().all()
    if lacking:
        user = connection.execute(USER).scalar_one()
        return wrong(
            SCHEMA,
            f"{user} may not read and write {', '.join(lacking)}",
            mend="as the tables' owner: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN"
            f' SCHEMA public TO "{user}";'
            f' GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO "{user}"',
        )
    current, expected = current_revision(connection), expected_revision()
    if current is None:
        return wrong(SCHEMA, "there are no tables", mend="run: slipway migrate")
    if current < expected:
        found = f"revision {current}, this program needs {expected}"
        return wrong(SCHEMA, found, mend="run: slipway migrate")
    newer = ", newer than this program: fine while a release rolls out"
    return ok(SCHEMA, f"revision {current}{newer if current > expected else ''}")
