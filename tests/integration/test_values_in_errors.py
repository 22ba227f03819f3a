"""No database error shows a value: a player, an amount, a partner's text."""

import traceback

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, StatementError

from models.database.round_trip import RoundTrip
from models.tickets.row import FEW_ROWS, NewRows

MARKER = "Zq7xW-player"
TABLE = """CREATE TABLE odd (
    player text PRIMARY KEY, amount integer NOT NULL CHECK (amount > 0), facts jsonb,
    short varchar(3), day date)"""
PUT = "INSERT INTO odd (player, amount, facts, short, day) VALUES "
STATEMENTS = {
    "unique": PUT + "(:marker, 1, null, null, null), (:marker, 1, null, null, null)",
    "check": PUT + "(:marker, -1, null, null, null)",
    "not null": PUT + "(:marker, null, null, null, null)",
    "number": "SELECT CAST(CAST(:marker AS text) AS integer)",
    "json": "SELECT CAST(CAST(:marker AS text) AS jsonb)",
    "date": "SELECT CAST(CAST(:marker AS text) AS date)",
    "too long": PUT + "('a', 1, null, :marker, null)",
    "no number": "SELECT CAST(:marker AS integer) + 1",
    "column": "SELECT nothing FROM odd WHERE player = :marker",
    "table": "SELECT 1 FROM nothing WHERE player = :marker",
    "half a character": "SELECT CAST(:half AS text)",
    "NUL": "SELECT CAST(:nul AS text)",
    "function": "SELECT refuse(:marker)",
}
FUNCTION = """CREATE FUNCTION refuse(player text) RETURNS text LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'refused' USING DETAIL = player, ERRCODE = '23514'; END $$"""


@pytest.fixture
def odd(engine):
    with engine.begin() as connection:
        connection.execute(text(TABLE))
        connection.execute(text(FUNCTION))
    return engine


def all_of(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + repr(error.__cause__)


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
def test_a_failed_statement_repeats_no_value(odd, statement):
    values = {"marker": MARKER, "half": f"{MARKER}\ud800", "nul": f"{MARKER}\x00"}
    given = {name: value for name, value in values.items() if f":{name}" in statement}

    with pytest.raises((StatementError, UnicodeEncodeError)) as refusal, odd.begin() as connection:
        connection.execute(text(statement), given)

    assert MARKER not in all_of(refusal.value)


def insert(odd: Engine, rows: list[tuple[str, int]]) -> None:
    columns = {"player": "text", "amount": "int4"}
    with odd.begin() as connection:
        trip = RoundTrip(connection)
        NewRows("odd", columns).write(trip, rows)
        trip.run()


@pytest.mark.parametrize("rows", [1, FEW_ROWS + 1], ids=["a few rows", "copied"])
def test_neither_do_new_rows_that_are_refused(odd, rows):
    debt = -987654321

    with pytest.raises(DBAPIError, match="odd_amount_check") as refusal:
        insert(odd, [(f"{MARKER}-{row}", debt) for row in range(rows)])

    assert not [value for value in (MARKER, str(debt)) if value in all_of(refusal.value)]


def test_what_helps_to_find_the_cause_stays(odd):
    with pytest.raises(DBAPIError) as refusal, odd.begin() as connection:
        connection.execute(text(STATEMENTS["unique"]), {"marker": MARKER})

    assert isinstance(refusal.value.orig, psycopg.errors.UniqueViolation)
    assert "(psycopg.errors.UniqueViolation) duplicate key" in str(refusal.value)
    assert 'violates unique constraint "odd_pkey"' in str(refusal.value)
    assert "INSERT INTO odd" in str(refusal.value)
