"""A session inside the caller's transaction leaves COMMIT and ROLLBACK to the caller."""

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import select

from models.database.rows import rows_within
from models.tables.operator import PublisherAccount

NAMES = text("SELECT name FROM publisher ORDER BY name")


def add(connection: Connection, name: str, *, key_hash: str | None = None) -> None:
    with rows_within(connection) as session:
        session.add(PublisherAccount(name=name, key_hash=key_hash or name))
        session.flush()


def names(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.execute(NAMES).scalars())


def test_what_it_wrote_is_committed_with_the_caller_s_transaction(engine):
    with engine.begin() as connection:
        add(connection, "one")
        with engine.connect() as other:
            assert list(other.execute(NAMES).scalars()) == []

    assert names(engine) == ["one"]


def test_what_it_wrote_is_rolled_back_with_the_caller_s_transaction(engine):
    with engine.connect() as connection:
        add(connection, "one")
        connection.rollback()

    assert names(engine) == []


def test_closing_it_inside_a_savepoint_keeps_what_it_wrote(engine):
    with engine.begin() as connection, connection.begin_nested():
        add(connection, "one")

    assert names(engine) == ["one"]


def test_an_error_undoes_the_savepoint_and_nothing_before_it(engine):
    with engine.begin() as connection:
        add(connection, "one")
        with pytest.raises(IntegrityError), connection.begin_nested():
            add(connection, "two", key_hash="one")
        add(connection, "three")

    assert names(engine) == ["one", "three"]


def test_rows_stay_readable_after_it_is_closed(engine):
    with engine.begin() as connection:
        add(connection, "one")
        with rows_within(connection) as session:
            publisher = session.exec(select(PublisherAccount)).one()

    assert publisher.name == "one"
    assert publisher.created_at is not None
