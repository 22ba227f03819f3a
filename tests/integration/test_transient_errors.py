"""Errors that no event caused: the whole batch is tried again (rule 21, H44, H45)."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DBAPIError

from models.database.engine import open_engine
from models.database.errors import is_transient
from tests.support.concurrent_connections import beside, end_sessions, waiting_sessions
from tests.support.harness import Harness
from tests.support.poison import DISK_FULL, accept_events, refuse_events
from tests.support.records import Records

LOCK = text("SELECT id FROM ticket WHERE ticket_id = :ticket_id FOR NO KEY UPDATE")
FAST = timedelta(milliseconds=50)


@pytest.fixture
def hasty(database, harness):
    """A harness that waits for a lock for 50 ms at most."""
    engine = open_engine(database, application_name="hasty", lock_timeout=FAST)
    yield Harness(engine, harness.clock)
    engine.dispose()


@pytest.fixture
def batch(harness):
    """Twenty events, on tickets that were there before."""
    harness.publish(*(harness.event("ticket_open", f"T{number:02}") for number in range(20)))
    return [harness.event("ticket_win", f"T{number:02}") for number in range(20)]


def assert_untouched(records: Records) -> None:
    assert {records.standing(f"T{number:02}") for number in range(20)} == {"open/pending"}
    assert records.rejected() == []


def assert_applied_once(records: Records) -> None:
    for number in range(20):
        assert records.outcomes(f"T{number:02}")[1:] == [("ticket_win", "applied")]
        assert records.notice_actions(f"T{number:02}") == ["ticket_win"]
    assert records.rejected() == []


def test_a_lock_that_is_not_to_be_had_leaves_nothing_half_done(
    hasty, harness, records, engine, batch
):
    """SQLSTATE 55P03, from a real lock."""
    with engine.begin() as connection:
        connection.execute(LOCK, {"ticket_id": "T13"})
        with pytest.raises(DBAPIError) as trouble:
            hasty.publish(*batch)
        assert is_transient(trouble.value)
        assert_untouched(records)

    hasty.publish(*batch)

    assert_applied_once(records)


def test_a_connection_cut_in_the_middle_leaves_nothing_half_done(harness, records, engine, batch):
    """SQLSTATE 57P01, or none at all: the server became unavailable while the batch was applied."""
    with engine.begin() as connection:
        connection.execute(LOCK, {"ticket_id": "T13"})
        with beside(lambda: harness.publish(*batch)) as publishing:
            end_sessions(engine, waiting_sessions(engine))
            with pytest.raises(DBAPIError) as trouble:
                publishing.result()
        assert is_transient(trouble.value)
        assert_untouched(records)

    harness.publish(*batch)

    assert_applied_once(records)


def test_a_deadlock_with_foreign_sessions_leaves_nothing_half_done(
    harness, records, engine, batch, database
):
    """SQLSTATE 40P01: another session locks tickets in another order, by hand."""
    impatient = open_engine(database, application_name="impatient")
    event.listen(impatient, "connect", _look_for_deadlocks_at_once)
    worker = Harness(impatient, harness.clock)
    with engine.connect() as gate, engine.connect() as stranger:
        gate.execute(LOCK, {"ticket_id": "T10"})
        stranger.execute(LOCK, {"ticket_id": "T19"})
        with beside(lambda: worker.publish(*batch)) as publishing:
            waiting_sessions(engine)  # it holds T00 to T09 and waits at the gate
            with beside(lambda: stranger.execute(LOCK, {"ticket_id": "T00"})) as wanting:
                waiting_sessions(engine, 2)
                gate.rollback()  # now it comes to T19, whose owner waits for T00
                with pytest.raises(DBAPIError) as trouble:
                    publishing.result()
                wanting.result()
        stranger.rollback()
    assert "DeadlockDetected" in repr(trouble.value.orig)
    assert is_transient(trouble.value)
    assert_untouched(records)

    worker.publish(*batch)
    impatient.dispose()

    assert_applied_once(records)


def test_a_full_disk_rejects_no_event(harness, records, engine, batch):
    """SQLSTATE 53: raised while rows are written."""
    unlucky = f"stream:{batch[13].id}"
    refuse_events(engine, unlucky, sqlstate=DISK_FULL)
    with pytest.raises(DBAPIError) as trouble:
        harness.publish(*batch)
    assert is_transient(trouble.value)
    assert_untouched(records)

    accept_events(engine, unlucky)
    harness.publish(*batch)

    assert_applied_once(records)


def test_trouble_in_the_middle_of_a_split_loses_and_doubles_nothing(harness, records, engine):
    """H45: poison splits the batch, then the right half meets an error; the left stays done."""
    refuse_events(engine)
    refuse_events(engine, "unlucky", sqlstate=DISK_FULL)
    batch = [
        harness.event("ticket_win", "LEFT"),
        harness.event("ticket_win", "BAD", event_id="poison"),
        harness.event("ticket_win", "MIDDLE"),
        harness.event("ticket_win", "RIGHT", event_id="unlucky"),
    ]
    with pytest.raises(DBAPIError) as trouble:
        harness.publish(*batch)
    assert is_transient(trouble.value)
    assert records.standing("LEFT") == "resulted/won"
    assert records.tickets() == ["LEFT"]

    accept_events(engine, "unlucky")
    harness.publish(*batch)

    assert [row.reason for row in records.rejected()] == ["poison"]
    for ticket in ("LEFT", "MIDDLE", "RIGHT"):
        assert records.notice_actions(ticket) == ["ticket_win"]
        (row,) = records.events(ticket)
        assert (row.outcome, row.repeats) == ("applied", 0)


def _look_for_deadlocks_at_once(connection: psycopg.Connection, _record: object) -> None:
    connection.execute("SET deadlock_timeout = '1ms'")
    connection.commit()


# --- statements mixed up, as behind a pooler that was not noticed ---


@pytest.fixture
def single(database):
    """An engine with one session."""
    engine = open_engine(database, application_name="single", pool_size=1)
    yield engine
    engine.dispose()


@pytest.mark.parametrize(
    ("spoil", "sqlstate"),
    [("take_names", "42P05"), ("exchange_statements", "08P01")],
)
def test_statements_that_are_another_client_s_cost_the_session_and_no_event(
    harness, records, single, batch, spoil, sqlstate
):
    worker = Harness(single, harness.clock)
    before = SPOILERS[spoil](worker)

    trouble, state = first_trouble(worker)

    assert state == sqlstate
    assert is_transient(trouble)
    assert_untouched(records)
    worker.publish(*batch)
    assert_applied_once(records)
    assert session_of(single) != before


def take_names(worker: Harness) -> int:
    """Prepare something else under all names that the driver would choose."""
    with driver_of(worker.engine) as driver:
        for number in range(NAMES):
            driver.execute(f"PREPARE _pg3_{number} AS SELECT 1".encode())
        return driver.info.backend_pid


def exchange_statements(worker: Harness) -> int:
    """Put statements with a parameter more in the place of those that the driver has prepared."""
    for number in range(UNTIL_PREPARED):
        worker.say("ticket_open", f"P{number}")
    with driver_of(worker.engine) as driver:
        prepared = driver.execute(PREPARED, prepare=False).fetchall()
        assert prepared, "the driver prepares what it repeats"
        for name, parameters in prepared:
            numbers = range(1, parameters + 2)
            types = ", ".join("int" for _ in numbers)
            values = ", ".join(f"${number}" for number in numbers)
            driver.execute(f"DEALLOCATE {name}".encode())
            driver.execute(f"PREPARE {name} ({types}) AS SELECT {values}".encode())
        return driver.info.backend_pid


NAMES = 100
UNTIL_PREPARED = 8  # batches; the driver prepares what it has sent five times
SPOILERS = {"take_names": take_names, "exchange_statements": exchange_statements}
# But for the pool's own question, which takes no parameter: it would be noticed before any work.
PREPARED = b"""
    SELECT name, cardinality(parameter_types) FROM pg_prepared_statements
     WHERE name LIKE '\\_pg3\\_%' AND cardinality(parameter_types) > 0"""


@contextmanager
def driver_of(engine: Engine) -> Iterator[psycopg.Connection]:
    with engine.begin() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        yield driver


def session_of(engine: Engine) -> int:
    with driver_of(engine) as driver:
        return driver.info.backend_pid


def first_trouble(worker: Harness) -> tuple[DBAPIError, str | None]:
    """Apply events until the session fails; the error, and its SQLSTATE."""
    for number in range(UNTIL_PREPARED):
        try:
            worker.say("ticket_open", f"U{number}")
        except DBAPIError as trouble:
            return trouble, getattr(trouble.orig, "sqlstate", None)
    raise AssertionError("no statement was prepared")
