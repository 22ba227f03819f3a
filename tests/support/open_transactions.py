"""Transactions that others have to wait for, left open for as long as a test wants."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, TextClause, text

REPORT = text("SELECT count(*) FROM ticket")  # a session that has read a table keeps a lock on it
ELSEWHERE = text("SELECT count(*) FROM operator")


@contextmanager
def in_the_way(engine: Engine, statement: TextClause = REPORT) -> Iterator[Connection]:
    """A transaction that has done *statement* and is left open."""
    with engine.connect() as held:
        held.execute(statement)
        yield held


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """A backup, say: it locks no table that is migrated, but sees all as it was at its beginning.

    An index that is built concurrently ends after it.
    """
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as held:
        held.execute(ELSEWHERE)
        yield held
