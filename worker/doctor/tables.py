"""Checks our tables for what was done to them from outside: hidden rows, lost indexes, triggers."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, text
from sqlmodel import SQLModel

import models.tables  # noqa: F401 - fills the metadata
from worker.doctor.finding import Finding, doubtful, wrong

TABLES: Final = "tables"
CHANGED_TABLES: Final = text("""
    SELECT name, row_security_active(c.oid) AS hidden, c.relpersistence = 'u' AS unlogged,
           coalesce(c.reloptions && ARRAY['autovacuum_enabled=false', 'autovacuum_enabled=off',
                                          'autovacuum_enabled=0'], false) AS unvacuumed,
           (SELECT array_agg(CAST(t.tgname AS text) ORDER BY t.tgname) FROM pg_trigger t
             WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D') AS triggers
      FROM unnest(CAST(:tables AS text[])) AS name JOIN pg_class c ON c.oid = to_regclass(name)
     ORDER BY name
""")
LOST_INDEXES: Final = text("""
    SELECT name, i.indexrelid IS NULL AS missing
      FROM unnest(CAST(:indexes AS text[])) AS name
      LEFT JOIN pg_index i ON i.indexrelid = to_regclass(name)
     WHERE i.indexrelid IS NULL OR NOT (i.indisvalid AND i.indisready)
     ORDER BY name
""")


def check_tables(connection: Connection) -> Iterator[Finding]:
    """Report what differs from what the migrations made. The schema is of this code's revision."""
    tables = sorted(SQLModel.metadata.tables)
    indexes = [each.name for name in tables for each in SQLModel.metadata.tables[name].indexes]
    rows = connection.execute(CHANGED_TABLES, {"tables": tables}).all()
    yield from _changed(rows)
    lost = connection.execute(LOST_INDEXES, {"indexes": indexes}).all()
    if missing := [row.name for row in lost if row.missing]:
        yield wrong(
            TABLES,
            f"missing indexes: {', '.join(missing)}: statements read whole tables, and time out as"
            " these grow",
            remedy="create each as the migration did (models/migrations/versions has its"
            " statement), with CREATE INDEX CONCURRENTLY",
        )
    if invalid := [row.name for row in lost if not row.missing]:
        yield wrong(
            TABLES,
            f"invalid indexes, which no statement uses: {', '.join(invalid)}",
            remedy=f"REINDEX INDEX CONCURRENTLY {invalid[0]}",
        )


def _changed(rows: Sequence[Row[Any]]) -> Iterator[Finding]:
    if hidden := [row.name for row in rows if row.hidden]:
        yield wrong(
            TABLES,
            f"row level security hides rows of {', '.join(hidden)} from this role: events seem new,"
            " and notices are not sent",
            remedy=f"ALTER TABLE {hidden[0]} DISABLE ROW LEVEL SECURITY, or ALTER ROLE … BYPASSRLS",
        )
    if unlogged := [row.name for row in rows if row.unlogged]:
        yield wrong(
            TABLES,
            f"unlogged: {', '.join(unlogged)}: a crash of PostgreSQL empties them, and no standby"
            " or backup has them",
            remedy=f"ALTER TABLE {unlogged[0]} SET LOGGED, which rewrites it under a lock",
        )
    if triggers := [f"{name} on {row.name}" for row in rows for name in row.triggers or ()]:
        yield doubtful(
            TABLES,
            f"triggers that are not Slipway's: {', '.join(triggers)}: what they raise or change is"
            " met as an error of the database",
            remedy="find out whose they are; ALTER TABLE … DISABLE TRIGGER … turns one off",
        )
    if unvacuumed := [row.name for row in rows if row.unvacuumed]:
        yield doubtful(
            TABLES,
            f"autovacuum is off for {', '.join(unvacuumed)}: they grow without limit",
            remedy=f"ALTER TABLE {unvacuumed[0]} RESET (autovacuum_enabled)",
        )
