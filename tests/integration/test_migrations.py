"""The schema that migrations make is the one the tables describe, however often they run."""

import shutil
from collections.abc import Iterator
from datetime import timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import NotSupportedError, OperationalError
from sqlmodel import SQLModel

import models.tables  # noqa: F401 - fills the metadata
from models.database.engine import open_engine
from models.database.errors import is_transient
from models.migrations.online import (
    drop_narrower_index,
    drop_narrower_unique,
    drop_replaced_index,
    drop_unused_index,
)
from models.migrations.revisions import VERSIONS, current_revision, expected_revision
from models.migrations.runner import NotMigrated, upgrade
from models.outbox.claim import LeaseTerms, claim
from models.platform.clock import DatabaseClock
from tests.support import databases
from tests.support.catalog import MIGRATIONS_TABLE, catalog
from tests.support.next_release import NEXT_REVISION, migrate_further

UNDELIVERED_BEFORE = text("""
    WITH partner AS (
        INSERT INTO operator (id, code, protocol, url, secret)
        VALUES (1, 'a/b', 'pam', 'http://partner', 'sealed') RETURNING id),
    settled AS (
        INSERT INTO ticket (operator, ticket_id, status, result, generation, notices, unfinished)
        SELECT id, 'c', 'resulted', 'won', 1, 1, 1 FROM partner RETURNING id, operator)
    INSERT INTO notice (ticket, operator, number, action, generation, body, head, due_at,
                        created_at)
    SELECT id, operator, 1, 'ticket_win', 1, '{}', true, now(), now() FROM settled""")
PREPARED_AFTER = 6  # executions, psycopg has the server keep a plan


@pytest.fixture
def empty(empty_database: str) -> Iterator[Engine]:
    """An engine on a database without any table."""
    opened = open_engine(empty_database, application_name="tests", pool_size=4)
    yield opened
    opened.dispose()


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


def test_migrating_twice_changes_nothing_and_keeps_what_is_there(
    harness, records, database, engine
):
    harness.say("ticket_win")
    before = catalog(engine)
    upgrade(database)

    assert catalog(engine) == before
    assert records.standing() == "resulted/won"


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


def test_a_release_that_was_taken_back_finds_nothing_to_do(database, engine):
    """deploy/README.md, Back: the code goes back, the schema stays."""
    migrate_further(database)
    newer = catalog(engine)
    lines: list[str] = []

    upgrade(database, report=lines.append)

    assert lines == [
        f"the schema is at {NEXT_REVISION}, newer than this program's {expected_revision()}"
    ]
    assert catalog(engine) == newer


def test_a_revision_that_no_release_has_is_an_error_that_says_so(database, engine):
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))

    with pytest.raises(NotMigrated, match="revision '0000', which no release has"):
        upgrade(database)


def test_a_column_that_changes_its_type_under_a_process_costs_no_event(harness, records, database):
    """A prepared statement fails once: the server's state, no event's fault (rule 21)."""
    tickets = [f"T{number}" for number in range(PREPARED_AFTER + 1)]
    for ticket in tickets:
        harness.say("ticket_win", ticket)
    for ticket in tickets[:-1]:
        harness.say("ticket_rollback", ticket)
    last = harness.event("ticket_rollback", tickets[-1])
    with databases.owner(database) as person:
        person.execute("ALTER TABLE ticket ALTER COLUMN sequence TYPE bigint")

    with pytest.raises(NotSupportedError, match="cached plan") as refusal:
        harness.publish(last)
    assert is_transient(refusal.value)
    harness.publish(last)

    assert records.standing(tickets[-1]) == "open/pending"
    assert records.rejected() == []


def test_each_revision_is_told_of(empty_database):
    lines: list[str] = []

    upgrade(empty_database, report=lines.append)

    assert lines[0].startswith("0001 The tables of the main road")
    assert lines[-1] == f"{expected_revision()} done"


def test_what_was_undelivered_before_the_upgrade_keeps_its_key(empty, empty_database, tmp_path):
    """Its partner may have it under that key, which held no more than the ids and slashes."""
    first = next(VERSIONS.glob("0001_*.py"))
    shutil.copy(first, tmp_path)
    upgrade(empty_database, versions=(tmp_path,))
    with empty.begin() as connection:
        connection.execute(UNDELIVERED_BEFORE)

    upgrade(empty_database)

    with empty.begin() as connection:
        (claimed,) = claim(
            connection,
            now=DatabaseClock().now(connection),
            lease=LeaseTerms(timedelta(seconds=25), timedelta()),
            room={1: 1},
            create_age_max=timedelta(seconds=60),
        )
    assert claimed.idempotency_key == "a/b/c/ticket_win/1"


def test_a_server_that_is_not_there_is_an_error_that_says_so():
    with pytest.raises(OperationalError, match="refused"):
        upgrade("postgresql://slipway:nothing@127.0.0.1:1/slipway")


@pytest.mark.parametrize(
    ("name", "wider", "problem"),
    [
        ("ticket_of_nothing", "notice_identity", "notice has no unique ticket_of_nothing"),
        ("notice_pkey", "notice_due", "no valid unique index notice_due"),  # not unique, partial
        ("notice_pkey", "notice_identity", "notice_identity is not wider than notice_pkey"),
        ("notice_identity", "notice_identity", "is not wider"),
    ],
)
def test_a_unique_index_is_dropped_only_where_a_wider_one_takes_its_place(
    engine, name, wider, problem
):
    with engine.begin() as connection:
        context = MigrationContext.configure(connection)
        with Operations.context(context), pytest.raises(AssertionError, match=problem):
            drop_narrower_unique(name, "notice", wider=wider)


@pytest.mark.parametrize(
    ("name", "wider", "problem"),
    [
        ("rejected_input_ticket", "rejected_input_of_id", "does not begin with the columns"),
        ("rejected_input_of_id", "rejected_input_event_id_alone", "does not begin with"),
        ("rejected_input_event_id_alone", "rejected_input_of_id", "is not about the rows"),
        ("rejected_input_entry_id_key", "rejected_input_of_id", "keeps something unique"),
        ("rejected_input_ticket", "no_such_index", "has no valid index"),
    ],
)
def test_an_index_is_dropped_only_for_one_that_finds_the_same(engine, name, wider, problem):
    alone = text("CREATE INDEX rejected_input_event_id_alone ON rejected_input (event_id)")
    with engine.begin() as connection:
        connection.execute(alone)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        with (
            Operations.context(context),
            context.begin_transaction(),
            pytest.raises(AssertionError, match=problem),
        ):
            drop_narrower_index(name, "rejected_input", wider=wider)


def test_an_index_goes_once_another_is_there_or_none_needs_it(engine):
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        with Operations.context(context), context.begin_transaction():
            with pytest.raises(AssertionError, match="has no valid index no_such_index"):
                drop_replaced_index("ticket_event_waiting", "ticket_event", by="no_such_index")
            with pytest.raises(AssertionError, match="soon is no revision"):
                drop_unused_index("ticket_event_listed", "ticket_event", since="soon")
            for _ in range(2):  # as after a kill
                drop_replaced_index(
                    "ticket_event_waiting", "ticket_event", by="ticket_event_window_end"
                )
                drop_unused_index("ticket_event_listed", "ticket_event", since="0001")
        left = {index["name"] for index in inspect(connection).get_indexes("ticket_event")}

    assert left == {"ticket_event_window_end", "ticket_event_of_id"}


def test_originals_stay_unique_beside_their_repeats(engine):
    """Whatever an old process writes is an original."""
    with engine.connect() as connection:
        indexes = inspect(connection).get_indexes("notice")
        constraints = inspect(connection).get_unique_constraints("notice")
    (identity,) = [index for index in indexes if index["name"] == "notice_identity"]

    assert identity["unique"]
    assert identity["column_names"] == ["ticket", "action", "generation", "repeat"]
    assert constraints == []
