"""The columns of a ticket's row, listed once: how each is read, inserted and updated.

The statements that load, insert and update tickets are built from this list when their modules are
imported. What a column means is said at `models.tables.ticket`. New rows, of this table and others,
are inserted by PostgreSQL's COPY: that costs two thirds of an INSERT from JSON. Its format is
binary, so neither side formats or parses numbers and times. But each COPY takes two round trips,
so a few rows are inserted by a statement that goes along with others.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any, Final, NamedTuple

import psycopg
from pydantic_core import to_json
from sqlalchemy import Connection, Row, TextClause, text

from models.database.round_trip import RoundTrip, driver_of, failed
from models.events import kept_once, time_of_change
from models.lifecycle.ticket import SETTLED, Terms, TicketState
from models.notices import short_body
from models.vocabulary import Result, Status

NewRow = tuple[Any, ...]
FEW_ROWS: Final = 16  # as many rows and fewer go along with other statements
_JSONB_VERSION: Final = "\x01"  # begins each jsonb in binary; its text follows


class NewRows:
    """Inserts rows into one table; *columns* names those that are given, with their types."""

    def __init__(self, table: str, columns: Mapping[str, str]) -> None:
        self.table = table
        names = ", ".join(columns)
        # What `document` makes is a jsonb already; psycopg has only to pass the text on.
        self._types = ["text" if type_ == "jsonb" else type_ for type_ in columns.values()]
        self._documents = [place for place, each in enumerate(columns.values()) if each == "jsonb"]
        self._copy = f"COPY {table} ({names}) FROM STDIN (FORMAT binary)"
        given = (f"{name} {type_}" for name, type_ in zip(columns, self._types, strict=True))
        taken = (f"CAST({name} AS {type_})" for name, type_ in columns.items())
        self._names = tuple(columns)
        self.insert = f"""
            INSERT INTO {table} ({names})
            SELECT {", ".join(taken)}
              FROM json_to_recordset(CAST(:{table} AS json)) AS r({", ".join(given)})"""  # noqa: S608 - the names of columns
        self._insert = text(self.insert)

    def write(self, trip: RoundTrip, rows: Sequence[NewRow]) -> None:
        """Insert *rows* after what *trip* was asked: a few with it, when it is run; many now.

        Raises DBAPIError, like any statement.
        """
        if len(rows) > FEW_ROWS:
            trip.run()
            self._copy_in(trip.connection, rows)
        elif rows:
            trip.ask(self._insert, self.parameters(rows))

    def parameters(self, rows: Sequence[NewRow]) -> dict[str, str]:
        """Return *rows* as the parameter of `insert`."""
        return {self.table: to_json([self._object(row) for row in rows]).decode()}

    def _object(self, row: NewRow) -> dict[str, Any]:
        fields = dict(zip(self._names, row, strict=True))
        for place in self._documents:
            if (document_ := row[place]) is not None:
                fields[self._names[place]] = document_.removeprefix(_JSONB_VERSION)
        return fields

    def _copy_in(self, connection: Connection, rows: Sequence[NewRow]) -> None:
        driver = driver_of(connection)
        try:
            with driver.cursor() as cursor, cursor.copy(self._copy.encode()) as copy:
                copy.set_types(self._types)
                for row in rows:
                    copy.write_row(row)
        except psycopg.Error as error:
            raise failed(connection, error) from error


def write_together(trip: RoundTrip, written: Sequence[tuple[NewRows, Sequence[NewRow]]]) -> None:
    """Insert rows into several tables: a few by one statement.

    Raises DBAPIError, like any statement.
    """
    written = [(table, rows) for table, rows in written if rows]
    if not written or any(len(rows) > FEW_ROWS for _, rows in written):
        for table, rows in written:
            table.write(trip, rows)
        return
    parameters: dict[str, str] = {}
    for table, rows in written:
        parameters |= table.parameters(rows)
    trip.ask(_together(tuple(table for table, _ in written)), parameters)


@cache
def _together(tables: tuple[NewRows, ...]) -> TextClause:
    """Return the statement: each foreign key is checked at its end."""
    *first, last = tables
    before = ", ".join(f"new_{table.table} AS ({table.insert})" for table in first)
    return text(f"WITH {before} {last.insert}" if before else last.insert)


def document(value: dict[str, Any]) -> str:
    """Return *value* for a column of type jsonb."""
    return _JSONB_VERSION + to_json(value).decode()


def array(values: Iterable[object]) -> str:
    """Return the text of an array of *values*: numbers, times, JSON texts, ids, words and None.

    JSON and PostgreSQL write these alike, but for the brackets; no text with a control character.
    """
    return f"{{{to_json([*values])[1:-1].decode()}}}"


class StateColumn(NamedTuple):
    """A column that a decision may change, under the same name in `TicketState`."""

    name: str
    type: str  # as PostgreSQL's COPY names it
    read: Callable[[Any], Any] | None = None  # makes the state's value; None: it is the same
    inserted: bool = True  # the first events of a ticket can set it


def _object_or_none(column: object) -> dict[str, Any] | None:
    return column if isinstance(column, dict) else None


STATE_COLUMNS: Final = (
    StateColumn("status", "text", {str(word): word for word in Status}.__getitem__),
    StateColumn("result", "text", {str(word): word for word in Result}.__getitem__),
    StateColumn("generation", "int4"),
    StateColumn("settled_at", "timestamptz"),
    StateColumn("amounts", "jsonb", _object_or_none),
    StateColumn("amended_at", "timestamptz"),
    StateColumn("close_due_at", "timestamptz"),
    StateColumn("parked", "int4"),
    StateColumn("sequence", "int4"),
    StateColumn("notices", "int4"),
    StateColumn("unfinished", "int4"),
    StateColumn("held_until", "timestamptz", inserted=False),
    StateColumn("untold", "int4"),
    StateColumn("in_doubt", "bool", inserted=False),
    StateColumn("cancelled_by", "varchar"),
    StateColumn("draw", "varchar"),
)

# --- reading --------------------------------------------------------------------------------------

_TERMS: Final = (
    "code",
    "protocol",
    "announces_tickets",
    "close_delay",
    "agent",
    "lottery_ticket",
    "ended_at",
    "wants",
)


def known(since: str) -> str:
    """Return whether every process knows the form of that revision (`models.migrations.finalize`).

    As an expression of SQL.
    """
    return f"""
       coalesce((SELECT revision >= '{since}' FROM finalized_upgrade WHERE id = 1), false)"""  # noqa: S608 - a constant


TERMS_OF_OPERATOR: Final = f"""id AS operator, {", ".join(_TERMS)},
       {known(kept_once.SINCE)} AS keeps_once,
       {known(time_of_change.SINCE)} AS times_once,
       {known(short_body.SINCE)} AS shortens_bodies"""

# Of a ticket `t`: its operator and key, then the other fields of its state, in their order.
_EXPRESSIONS: Final = {
    **{column.name: f"t.{column.name}" for column in STATE_COLUMNS},
    "on_hold_at": "t.on_hold_at",  # only a person changes it: `models.triage.hold`
    "opened_in": "t.details ->> 'currency'",
    "erased": "t.erased_at IS NOT NULL",
    "bodies_removed": "t.bodies_removed_at IS NOT NULL",
}
_SELECTED: Final = [each.name for each in fields(TicketState) if each.name in _EXPRESSIONS]
SELECTED: Final = ", ".join(
    ["t.operator, t.id, t.ticket_id", *(f"{_EXPRESSIONS[name]} AS {name}" for name in _SELECTED)]
)
_READ: Final = [(_SELECTED.index(each.name), each.read) for each in STATE_COLUMNS if each.read]


def terms_of_row(row: Row[Any]) -> Terms:
    """Return the terms in a row of `TERMS_OF_OPERATOR`."""
    return Terms(**row._asdict())


def states_of_rows(
    rows: Iterable[Sequence[Any]],
    terms: Mapping[int, Terms],
    details: Mapping[int, dict[str, Any]],
) -> dict[int, TicketState]:
    """Return the tickets in rows of `SELECTED`, by their ids, with the *terms* of their operators.

    *details*: of those tickets whose protocol needs them. A row is unpacked by place: by name, each
    would take twice as long.
    """
    states: dict[int, TicketState] = {}
    for operator, id_, ticket_id, *values in rows:
        for place, read in _READ:
            values[place] = read(values[place])
        values.append(details.get(id_, {}))
        states[id_] = TicketState(id_, ticket_id, terms[operator], *values)
    return states


# --- inserting ------------------------------------------------------------------------------------

_COPIED: Final = [column for column in STATE_COLUMNS if column.inserted and column.type != "jsonb"]
_values_copied: Final = attrgetter(
    "id", "terms.operator", "ticket_id", *(column.name for column in _COPIED)
)
INSERTED: Final = {
    "id": "int8",
    "operator": "int4",
    "ticket_id": "varchar",
    **{column.name: column.type for column in _COPIED},
    "amounts": "jsonb",
    "cancelled_at": "timestamptz",
    "details": "jsonb",
    "created_at": "timestamptz",
    "changed_at": "timestamptz",
}


def inserted_row(ticket: TicketState, now: datetime) -> NewRow:
    """Return the values of `INSERTED`."""
    return (
        *_values_copied(ticket),
        None if ticket.amounts is None else document(ticket.amounts),
        now if ticket.is_over else None,
        document(ticket.facts),
        now,
        now,
    )


# --- updating -------------------------------------------------------------------------------------

_UPDATED: Final = tuple(column.name for column in STATE_COLUMNS)
_values_updated: Final = attrgetter(*_UPDATED)
ASSIGNMENTS: Final = ", ".join(f"{name} = r.{name}" for name in _UPDATED)
# The columns of a row of `updated_row`, as a definition for jsonb_to_recordset.
UPDATED: Final = ", ".join(
    [
        "id int8",
        *(f"{column.name} {column.type}" for column in STATE_COLUMNS),
        "news bool",
        "over bool",
        "filled jsonb",
        "amended jsonb",
    ]
)


# A column of a draw's tickets by its name: an array each, not an object for every row.
_TYPES: Final = {"id": "int8", **{column.name: column.type for column in STATE_COLUMNS}}
_SETTLED: Final = ("id", *SETTLED)
_values_settled: Final = attrgetter(*_SETTLED)
SETTLED_ASSIGNMENTS: Final = ", ".join(f"{name} = r.{name}" for name in SETTLED)
SETTLED_ROWS: Final = (
    f"unnest({', '.join(f'CAST(:{name} AS {_TYPES[name]}[])' for name in _SETTLED)})"
    f" AS r({', '.join(_SETTLED)})"
)


def settled_rows(tickets: Iterable[TicketState]) -> dict[str, str]:
    """Return the parameters of `SETTLED_ROWS`."""
    columns = zip(*map(_values_settled, tickets), strict=True)
    named = dict(zip(_SETTLED, columns, strict=True))
    amounts = (None if each is None else to_json(each).decode() for each in named["amounts"])
    return {name: array(amounts if name == "amounts" else each) for name, each in named.items()}


def updated_row(ticket: TicketState, *, news: bool) -> dict[str, Any]:
    """Return the values of `UPDATED`. *news*: more of it changes than what its partner received."""
    row: dict[str, Any] = dict(zip(_UPDATED, _values_updated(ticket), strict=True))
    row["id"] = ticket.id
    row["news"] = news
    row["over"] = ticket.is_over
    row["filled"] = ticket.filled
    row["amended"] = ticket.amended
    return row
