"""The schema that migrations make is the one the tables describe, however often they are asked."""

from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import OperationalError
from sqlmodel import SQLModel

import models.tables  # noqa: F401 - fills the metadata
from models.database import open_engine
from models.migrate import current_revision, expected_revision, upgrade
from tests.support.threads import beside, waiting_sessions

MIGRATIONS_TABLE = "alembic_version"
# All that a table is made of, as PostgreSQL itself words it.
CATALOG = text("""
    SELECT 'column', attrelid::regclass::text, attname::text,
           format_type(atttypid, atttypmod)
           || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
           || CASE attidentity WHEN '' THEN '' ELSE ' IDENTITY ' || attidentity::text END
           || coalesce(' DEFAULT ' || pg_get_expr(adbin, adrelid), '')
      FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
      JOIN pg_class ON pg_class.oid = attrelid AND relkind = 'r'
     WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped
     UNION ALL
    SELECT 'constraint', conrelid::regclass::text, conname::text, pg_get_constraintdef(oid)
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace
     UNION ALL
    SELECT 'index', tablename::text, indexname::text, indexdef
      FROM pg_indexes WHERE schemaname = 'public'
     UNION ALL
    SELECT 'storage', oid::regclass::text, '', array_to_string(reloptions, ',')
      FROM pg_class WHERE relnamespace = 'public'::regnamespace AND reloptions IS NOT NULL""")


@pytest.fixture
def empty(empty_database: str) -> Iterator[Engine]:
    """An engine on a database without any table."""
    opened = open_engine(empty_database, application_name="tests", pool_size=4)
    yield opened
    opened.dispose()


def catalog(engine: Engine) -> set[tuple[str, ...]]:
    """What the tables of a database are made of, Alembic's own apart."""
    with engine.begin() as connection:
        rows = connection.execute(CATALOG).all()
    return {tuple(row) for row in rows if row[1] != MIGRATIONS_TABLE}


def test_alembic_finds_nothing_left_to_migrate(engine):
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})

        assert compare_metadata(context, SQLModel.metadata) == []


def test_migrating_makes_exactly_what_the_tables_describe(engine, empty):
    """Also what Alembic does not compare: checks, defaults, identities, conditions of indexes."""
    SQLModel.metadata.create_all(empty)

    assert catalog(engine) == catalog(empty)


def test_a_database_says_which_revision_it_is_at(engine, empty):
    with empty.connect() as connection:
        assert current_revision(connection) is None
    with engine.connect() as connection:
        assert current_revision(connection) == expected_revision()


def test_migrating_twice_changes_nothing_and_keeps_what_is_there(desk, books, database, engine):
    desk.say("ticket_win")
    before = catalog(engine)
    upgrade(database)

    assert catalog(engine) == before
    assert books.standing() == "resulted/won"


def test_a_second_migration_waits_for_the_first(empty, empty_database):
    """Two instances that start at the same time both find everything in place."""
    with empty.connect() as obstacle:
        obstacle.execute(text("CREATE TABLE alembic_version (version_num varchar(32))"))
        with (
            beside(lambda: upgrade(empty_database)) as first,
            beside(lambda: upgrade(empty_database)) as second,
        ):
            waiting_sessions(empty, 2)  # the first one for the table, the second for the first
            obstacle.rollback()
            first.result()
            second.result()

    with empty.connect() as connection:
        assert current_revision(connection) == expected_revision()
    assert "ticket" in inspect(empty).get_table_names()


def test_a_migration_that_fails_leaves_nothing_behind_and_can_be_tried_again(empty, empty_database):
    with empty.begin() as connection:
        connection.execute(text("CREATE TABLE delivery_attempt ()"))
    with pytest.raises(Exception, match="already exists"):
        upgrade(empty_database)
    assert set(inspect(empty).get_table_names()) <= {"delivery_attempt", MIGRATIONS_TABLE}

    with empty.begin() as connection:
        connection.execute(text("DROP TABLE delivery_attempt"))
    upgrade(empty_database)

    assert "ticket" in inspect(empty).get_table_names()


def test_a_server_that_is_not_there_is_an_error_that_says_so():
    with pytest.raises(OperationalError, match="refused"):
        upgrade("postgresql://slipway:nothing@127.0.0.1:1/slipway")
