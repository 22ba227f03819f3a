"""Steps of a revision that may take long and block nobody, however big the table is.

Each runs outside any transaction and can be repeated: a revision of such steps alone may be killed
at any point. Readers and writers pass while a step waits, so it waits for minutes, not 3 s.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from alembic import op
from sqlalchemy import TextClause, text

# For older transactions: an index build ends by waiting for all of them, even a backup's.
LOCK_TIMEOUT: Final = "15min"
SMALL: Final = frozenset({"operator", "publisher"})  # a row for each partner or backend
# The columns of a unique index, or of the constraint on it, in any order. No row: it is not valid,
# not unique, or partial, so that it keeps nothing unique by itself.
UNIQUE_COLUMNS: Final = text("""
    SELECT (SELECT array_agg(CAST(a.attname AS text)) FROM pg_attribute a
             WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)) AS columns,
           EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid) AS is_constraint
      FROM pg_index i
     WHERE i.indexrelid = to_regclass(:name) AND i.indrelid = to_regclass(:table)
       AND i.indisunique AND i.indisvalid AND i.indpred IS NULL""")
# The columns of an index as they are written, in order. No row: it is not valid.
INDEX_COLUMNS: Final = text("""
    SELECT ARRAY(SELECT pg_get_indexdef(i.indexrelid, n, false)
                   FROM generate_series(1, i.indnkeyatts) AS n ORDER BY n) AS columns,
           pg_get_expr(i.indpred, i.indrelid) AS condition, i.indisunique AS is_unique
      FROM pg_index i
     WHERE i.indexrelid = to_regclass(:name) AND i.indrelid = to_regclass(:table)
       AND i.indisvalid""")
LEFT_UNFINISHED: Final = text(
    "SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass(:name) AND NOT indisvalid)"
)


def build_index(
    name: str,
    table: str,
    columns: Sequence[str | TextClause],
    *,
    where: str | None = None,
    unique: bool = False,
) -> None:
    """Build an index concurrently; drop first what a killed build left.

    A valid index of this name is left unchanged.
    """
    with _outside_transactions():
        quoted = op.get_bind().dialect.identifier_preparer.quote(name)
        if op.get_bind().execute(LEFT_UNFINISHED, {"name": quoted}).scalar_one():
            op.drop_index(name, table_name=table, if_exists=True, postgresql_concurrently=True)
        op.create_index(
            name,
            table,
            list(columns),
            unique=unique,
            if_not_exists=True,
            postgresql_concurrently=True,
            postgresql_where=None if where is None else text(where),
        )


def rewrite_small(table: str, assignment: str, where: str) -> None:
    """Update the rows of a small table, in the revision's own transaction."""
    assert table in SMALL, f"{table} may have millions of rows: code fills them in, in batches"
    op.execute(f"UPDATE {table} SET {assignment} WHERE {where}")  # noqa: S608 - words of a revision


def validate(constraint: str, table: str) -> None:
    """Check the rows that existed before a constraint was added with NOT VALID."""
    quote = op.get_bind().dialect.identifier_preparer.quote
    with _outside_transactions():
        op.execute(f"ALTER TABLE {quote(table)} VALIDATE CONSTRAINT {quote(constraint)}")


def widen_check(constraint: str, table: str, condition: str) -> None:
    """Let a check accept more than before, in the revision's own transaction: it reads no rows.

    *condition* must accept everything that the present one does, or old processes fail. Call
    `validate` in a later revision.
    """
    op.drop_constraint(op.f(constraint), table, type_="check")
    op.create_check_constraint(op.f(constraint), table, condition, postgresql_not_valid=True)


def drop_narrower_unique(name: str, table: str, *, wider: str) -> None:
    """Drop a unique constraint or index, in the revision's own transaction: it reads no rows.

    *wider*: a unique index with all its columns and more, built in an earlier revision. What old
    processes write must stay unique by it: the further columns have one default for all rows.
    """
    quote = op.get_bind().dialect.identifier_preparer.quote
    narrow, wide = (
        op.get_bind()
        .execute(UNIQUE_COLUMNS, {"name": quote(each), "table": quote(table)})
        .one_or_none()
        for each in (name, wider)
    )
    assert narrow is not None, f"{table} has no unique {name}"
    assert wide is not None, f"{table} has no valid unique index {wider}"
    assert set(narrow.columns) < set(wide.columns), f"{wider} is not wider than {name}"
    if narrow.is_constraint:
        op.drop_constraint(op.f(name), table, type_="unique")
    else:
        op.drop_index(name, table_name=table)


def drop_narrower_index(name: str, table: str, *, wider: str) -> None:
    """Drop an index concurrently, unless it is gone already.

    *wider*: an index with the same condition whose columns begin with all of its columns, so that
    old processes find by it what they found before. It keeps nothing unique.
    """
    with _outside_transactions():
        quote = op.get_bind().dialect.identifier_preparer.quote
        narrow, wide = (
            op.get_bind()
            .execute(INDEX_COLUMNS, {"name": quote(each), "table": quote(table)})
            .one_or_none()
            for each in (name, wider)
        )
        assert wide is not None, f"{table} has no valid index {wider}"
        if narrow is not None:
            assert not narrow.is_unique, f"{name} keeps something unique: drop_narrower_unique"
            assert narrow.columns == wide.columns[: len(narrow.columns)], (
                f"{wider} does not begin with the columns of {name}"
            )
            assert narrow.condition == wide.condition, f"{wider} is not about the rows of {name}"
        op.drop_index(name, table_name=table, if_exists=True, postgresql_concurrently=True)


def drop_replaced_index(name: str, table: str, *, by: str) -> None:
    """Drop an index concurrently, unless it is gone already.

    *by*: a valid index by which the statements of this release find what they found by the old one.
    Old processes stay right without it; what they found by it may take them longer, so it may not
    be one that the way of an event needs.
    """
    with _outside_transactions():
        quote = op.get_bind().dialect.identifier_preparer.quote
        names = {"name": quote(by), "table": quote(table)}
        instead = op.get_bind().execute(INDEX_COLUMNS, names).one_or_none()
        assert instead is not None, f"{table} has no valid index {by}"
        op.drop_index(name, table_name=table, if_exists=True, postgresql_concurrently=True)


def drop_unused_index(name: str, table: str, *, since: str) -> None:
    """Drop an index concurrently, unless it is gone already.

    *since*: the earlier revision with which the code stopped using it. Processes that are older
    than that stay right without it, and may become slow.
    """
    assert re.fullmatch("[0-9]{4}", since), f"{since} is no revision"
    with _outside_transactions():
        op.drop_index(name, table_name=table, if_exists=True, postgresql_concurrently=True)


@contextmanager
def _outside_transactions() -> Iterator[None]:
    with op.get_context().autocommit_block():
        op.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
        yield
        op.execute("RESET lock_timeout")
