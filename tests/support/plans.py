"""What statements really do: the rows they touch and the indexes they take, as the server says."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, event, text

# Of the transaction that asks; read by index or by going through the whole table.
TOUCHED = text("""
    SELECT relname, seq_tup_read, coalesce(idx_tup_fetch, 0) AS by_index
      FROM pg_stat_xact_user_tables""")
EXPLAIN = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "
EXPLAINED = ("SELECT", "WITH", "UPDATE")


@dataclass(frozen=True, slots=True)
class Touched:
    """How many rows of each table were read."""

    by_index: Mapping[str, int]
    one_by_one: Mapping[str, int]


@dataclass(slots=True)
class Plans:
    """What the plans of some statements hold. *rows*: what each table gave to its scan.

    *pages*: how many pages of tables and indexes were read, each as often as it was.
    """

    indexes: set[str] = field(default_factory=set)
    whole_tables: set[str] = field(default_factory=set)
    rows: dict[str, float] = field(default_factory=dict)
    pages: int = 0

    def read(self, node: Mapping[str, Any]) -> None:
        """Add a node of EXPLAIN's JSON and all below it."""
        if "Index Name" in node:
            self.indexes.add(node["Index Name"])
        if "Relation Name" in node and "Scan" in node["Node Type"]:
            table = node["Relation Name"]
            given = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
            self.rows[table] = self.rows.get(table, 0) + given * node["Actual Loops"]
            if node["Node Type"] == "Seq Scan":
                self.whole_tables.add(table)
        for below in node.get("Plans", ()):
            self.read(below)


def touched_by(connection: Connection, action: Callable[[], object]) -> Touched:
    """Run *action* on *connection* and count the rows it reads, whatever plan is in use."""
    before = {row.relname: row for row in connection.execute(TOUCHED)}
    action()
    after = {row.relname: row for row in connection.execute(TOUCHED)}
    return Touched(
        {name: row.by_index - before[name].by_index for name, row in after.items()},
        {name: row.seq_tup_read - before[name].seq_tup_read for name, row in after.items()},
    )


def plans_of(connection: Connection, action: Callable[[], object]) -> Plans:
    """Note the statements of *action*, undo it, and have each explained as it is run again."""
    with _noted(connection) as statements, connection.begin_nested() as attempt:
        action()
        attempt.rollback()
    plans = Plans()
    for statement, parameters in statements:
        if statement.lstrip().startswith(EXPLAINED):
            (explained,) = connection.exec_driver_sql(EXPLAIN + statement, parameters).scalar_one()
            plan = explained["Plan"]
            plans.read(plan)
            plans.pages += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    return plans


@contextmanager
def _noted(connection: Connection) -> Iterator[list[tuple[str, Any]]]:
    noted: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, parameters: object, *___: object) -> None:
        noted.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    try:
        yield noted
    finally:
        event.remove(connection, "before_cursor_execute", note)
