"""The columns of a ticket's row, against the state that decisions see and the table."""

from dataclasses import fields

from sqlmodel import SQLModel

import models.tables  # noqa: F401 - defines the tables
from models.lifecycle.ticket import TicketState
from models.tickets.row import INSERTED, STATE_COLUMNS

NOT_COLUMNS = {
    *("terms", "opened_in", "erased", "bodies_removed"),
    *("filled", "amended", "new_notices", "_loaded"),
}
KEY_AND_DETAILS = {"id", "ticket_id", "details"}
CHANGED_BY_A_PERSON = {"on_hold_at"}


def test_every_column_that_decisions_change_is_in_the_state_under_its_name():
    names = {column.name for column in STATE_COLUMNS}

    decided = {field.name for field in fields(TicketState)} - CHANGED_BY_A_PERSON

    assert names == decided - NOT_COLUMNS - KEY_AND_DETAILS


def test_every_column_is_one_of_the_table():
    columns = set(SQLModel.metadata.tables["ticket"].columns.keys())

    assert {column.name for column in STATE_COLUMNS} < columns
    assert set(INSERTED) < columns
