"""One database for many tests, one after the other: emptied in between, so that each finds it new.

Copying the migrated database for each test costs several times what emptying the written tables
does. A test that changed more than rows (a table, a trigger, statistics, a setting), or left a
session at work, is noticed: the next test then gets a new copy.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from tests.support import databases
from tests.support.wait import eventually

USES_MAX: Final = 100  # each emptying leaves dead rows in the catalogue, which nothing vacuums
_LIMIT: Final = "SET lock_timeout = '10s'"  # who holds a lock for so long was not ended

# A row's xmin is the transaction that wrote it, so these figures change with any row.
_WRITTEN_ROWS: Final = "(SELECT concat(count(*), ' ', max(xmin::text::bigint)) FROM {})"
_CATALOGUES: Final = (
    "pg_attribute",
    "pg_attrdef",
    "pg_constraint",
    "pg_db_role_setting",
    "pg_default_acl",
    "pg_depend",
    "pg_description",
    "pg_event_trigger",
    "pg_extension",
    "pg_namespace",
    "pg_policy",
    "pg_proc",
    "pg_rewrite",
    "pg_statistic",
    "pg_statistic_ext",
    "pg_trigger",
    "pg_type",
    "alembic_version",
    "finalized_upgrade",
)
# TRUNCATE writes to pg_class, too: of it, what it leaves alone. ANALYZE and VACUUM leave their
# counts there, even if they are rolled back.
_RELATIONS: Final = """
    SELECT md5(string_agg(concat_ws(' ', oid, relname, relnamespace, relkind, relam, relacl,
                                    relpersistence, relhastriggers, relhasrules, relrowsecurity,
                                    relforcerowsecurity, relreplident, reloptions,
                                    CASE relkind WHEN 'r' THEN reltuples END), ',' ORDER BY oid))
      FROM pg_class WHERE oid >= 16384"""
_DATABASE: Final = """
    SELECT concat_ws(' ', datname, datdba, datconnlimit, datallowconn, datacl)
      FROM pg_database WHERE datname = current_database()"""
_SHAPE: Final = sql.SQL("SELECT ({}), ({}), {}").format(
    sql.SQL(_RELATIONS),
    sql.SQL(_DATABASE),
    sql.SQL(", ").join(sql.SQL(_WRITTEN_ROWS).format(sql.Identifier(name)) for name in _CATALOGUES),
)
_END_SESSIONS: Final = """
    SELECT count(*) FILTER (WHERE state <> 'idle'), count(pg_terminate_backend(pid))
      FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"""
# Not by rows: what was rolled back took space, too, and what was refused took a number.
_WRITTEN_TABLES: Final = """
    SELECT oid::regclass::text FROM pg_class
     WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
       AND relname NOT IN ('alembic_version', 'finalized_upgrade')
       AND pg_relation_size(oid) > 0
     UNION
    SELECT d.refobjid::regclass::text
      FROM pg_sequence s JOIN pg_depend d ON d.objid = s.seqrelid AND d.deptype IN ('a', 'i')
     WHERE d.refclassid = 'pg_class'::regclass AND pg_sequence_last_value(s.seqrelid) IS NOT NULL"""
# The tables that refer to a truncated one have to be truncated with it.
_EMPTY: Final = "TRUNCATE {} RESTART IDENTITY CASCADE"


class _Reused:
    """A copy of the template, and the session that looks at it and empties it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._uses = 0
        self._session = databases.connect(url)
        self._session.execute(_LIMIT)
        self._shape = self._look()

    def emptied(self) -> bool:
        """Remove all rows. Returns whether it is as new then, so that another test may have it."""
        self._uses += 1
        if self._uses == USES_MAX:
            return False
        try:
            at_work, others = self._one(_END_SESSIONS)
            if at_work:
                return False
            written = [name for (name,) in self._session.execute(_WRITTEN_TABLES).fetchall()]
            if written:
                self._session.execute(_EMPTY.format(", ".join(written)).encode())
            if others:  # the locks of a session are there until it is gone
                eventually(lambda: self._one(_END_SESSIONS) == (0, 0))
            return self._look() == self._shape
        except psycopg.Error:  # a test ended this session, or left a lock behind
            return False

    def close(self) -> None:
        """End the session."""
        self._session.close()

    def _look(self) -> tuple[Any, ...]:
        return self._one(_SHAPE)

    def _one(self, question: LiteralString | sql.Composed) -> tuple[Any, ...]:
        (row,) = self._session.execute(question).fetchall()
        return row


class ReusedDatabases:
    """Lends databases of one server, each to one test at a time."""

    def __init__(self, server_url: str, *, template: str, names: Iterator[str]) -> None:
        self._server_url = server_url
        self._template = template
        self._names = names
        self._spare: list[_Reused] = []

    @contextmanager
    def lent(self) -> Iterator[str]:
        """Lend a database with all tables and no rows until the block ends; its address."""
        database = self._spare.pop() if self._spare else self._made()
        yield database.url
        if database.emptied():
            self._spare.append(database)
        else:
            self._drop(database)

    def close(self) -> None:
        """Drop what is left."""
        while self._spare:
            self._drop(self._spare.pop())

    def _made(self) -> _Reused:
        name = next(self._names)
        return _Reused(databases.create(self._server_url, name, template=self._template))

    def _drop(self, database: _Reused) -> None:
        database.close()
        databases.drop(self._server_url, databases.name_of(database.url))
