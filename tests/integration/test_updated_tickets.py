"""A ticket's row after an update: by arrays where it was only settled, else by whole rows."""

from collections.abc import Iterator
from copy import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic_core import to_json
from sqlalchemy import Connection, Engine, text

from models.lifecycle.ticket import SETTLED, TicketState
from models.tickets.load import lock_by_id
from models.tickets.row import array, settled_rows, updated_row
from models.tickets.save import UPDATE_SETTLED, UPDATE_TICKETS
from models.vocabulary import Result, Status
from tests.support.harness import Harness

NOW = datetime(2026, 11, 20, 10, 0, 0, 123_456, tzinfo=UTC)
# All that a result does not change has a value.
INSERT = text("""
    INSERT INTO ticket (operator, ticket_id, status, amended_at, cancelled_at, sequence, notices,
                        unfinished, held_until, in_doubt, cancelled_by, draw, on_hold_at, details)
    SELECT id, :ticket_id, 'open', :now, :now, 3, 2, 1, :now, true, 'create: 400', '7', :now,
           '{"player_id": "p", "currency": "EUR"}'
      FROM operator
 RETURNING id""")
ROW = text("SELECT * FROM ticket WHERE id = :id")
TEXTS = ["a\"b'c", "back\\slash", "\\u0041", "é漢字😀", "{}", "a,b", "null", "NULL", "", "%s:x"]
AMOUNTS: list[dict[str, Any] | None] = [
    None,
    {},
    {"net_payout": 10**15, "currency": "EUR", "wht": 12.5},
    *({"ext_type": odd, "ext": 0.5} for odd in TEXTS),
]


@pytest.fixture
def connection(harness: Harness, engine: Engine) -> Iterator[Connection]:
    """A transaction that is undone."""
    with engine.connect() as opened:
        yield opened
        opened.rollback()


def settled(connection: Connection, ticket_id: str, amounts: dict[str, Any] | None) -> TicketState:
    """Return a ticket that has just got its result."""
    given = {"ticket_id": ticket_id, "now": NOW}
    (id_,) = connection.execute(INSERT, given).one()
    ticket = lock_by_id(connection, [id_])[id_]
    ticket.status, ticket.result, ticket.amounts = Status.RESULTED, Result.WON, amounts
    ticket.generation, ticket.settled_at = ticket.generation + 1, NOW - timedelta(microseconds=1)
    ticket.notices, ticket.unfinished = ticket.notices + 1, ticket.unfinished + 1
    return ticket


def test_both_statements_store_the_same(connection):
    """Whatever the amounts hold; what a result does not change stays."""
    arrays = [settled(connection, f"A{n}", each) for n, each in enumerate(AMOUNTS)]
    whole = [settled(connection, f"W{n}", each) for n, each in enumerate(AMOUNTS)]
    assert all(ticket.settled_only and ticket.changed for ticket in arrays)

    connection.execute(UPDATE_SETTLED, {**settled_rows(arrays), "changed_at": NOW})
    rows = to_json([updated_row(ticket, news=True) for ticket in whole]).decode()
    connection.execute(UPDATE_TICKETS, {"rows": rows, "now": NOW})

    for first, second, amounts in zip(arrays, whole, AMOUNTS, strict=True):
        by_arrays, by_rows = (
            connection.execute(ROW, {"id": ticket.id}).one()._asdict() for ticket in (first, second)
        )
        assert {**by_arrays, "id": 0, "ticket_id": ""} == {**by_rows, "id": 0, "ticket_id": ""}
        assert (by_arrays["amounts"], by_arrays["cancelled_at"]) == (amounts, None)
        assert (by_arrays["draw"], by_arrays["in_doubt"], by_arrays["sequence"]) == ("7", True, 3)


OTHERS = {
    "amended_at": NOW + timedelta(seconds=1),
    "close_due_at": NOW,
    "parked": 1,
    "sequence": 9,
    "held_until": NOW + timedelta(days=1),
    "untold": 1,
    "in_doubt": False,
    "cancelled_by": "update: 400",
    "draw": "8",
    "filled": {"game": "g"},
    "amended": {"game": "g"},
}


def test_one_that_was_changed_otherwise_is_not_only_settled(connection):
    ticket = settled(connection, "T", None)

    for name, value in OTHERS.items():
        changed = copy(ticket)
        setattr(changed, name, value)
        assert not changed.settled_only, name
    assert {*OTHERS} | {*SETTLED} >= {*updated_row(ticket, news=True)} - {"id", "over", "news"}


def test_the_text_of_an_array_is_read_as_it_was_given(connection):
    values = [*TEXTS, "x" * 64, "\x7f", None]
    read = text("SELECT CAST(:given AS text[])")
    times = [NOW, None, datetime(9999, 1, 1, tzinfo=UTC)]

    assert connection.execute(read, {"given": array(values)}).scalar_one() == values
    assert connection.execute(read, {"given": array([])}).scalar_one() == []
    numbers = text("SELECT CAST(:given AS bigint[])")
    assert connection.execute(numbers, {"given": array([-1, 2**62])}).scalar_one() == [-1, 2**62]
    moments = text("SELECT CAST(:given AS timestamptz[])")
    assert connection.execute(moments, {"given": array(times)}).scalar_one() == times
