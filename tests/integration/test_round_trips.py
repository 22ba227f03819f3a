"""Statements that are sent together: how often an event waits for them, and what errors do."""

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, InvalidatePoolError

from models.database.engine import Transaction, open_engine
from models.database.liveness import ASKED_AFTER, Liveness
from models.database.round_trip import AskedTime, RoundTrip, driver_of
from models.intake.apply import apply_entries
from models.operators.partners import enabled_partners
from models.platform.clock import DatabaseClock
from tests.support.delivery_setup import delivery_settings
from tests.support.harness import PARKING_WINDOW
from worker.delivery.admission import Admission

ONE = text("SELECT 1 AS one")
TABLE = text("CREATE TABLE written (word text PRIMARY KEY)")
WRITE, WRITTEN = text("INSERT INTO written VALUES (:word)"), text("SELECT word FROM written")
END = text("SELECT pg_terminate_backend(:pid, 5000)")
WAITED_FOR = re.compile(r"\tF\t\d+\t(?:Sync|Query)\b")  # in libpq's trace
EXECUTED = re.compile(r"\tF\t\d+\tExecute\b")


@pytest.fixture
def written(empty_database) -> Iterator[Engine]:
    """A database with a table of words."""
    engine = open_engine(empty_database, application_name="tests")
    with engine.begin() as connection:
        connection.execute(TABLE)
    yield engine
    engine.dispose()


def words(engine: Engine) -> list[str]:
    with engine.begin() as connection:
        return sorted(connection.execute(WRITTEN).scalars())


def write(connection: Connection, *texts: str, commit: bool = False) -> None:
    trip = RoundTrip(connection)
    for word in texts:
        trip.ask(WRITE, {"word": word})
    trip.run(commit=commit)


def round_trips(connection: Connection, action: Callable[[], object]) -> int:
    """How often *connection* waits for the server."""
    return len(WAITED_FOR.findall(traced(connection, action)))


def traced(connection: Connection, action: Callable[[], object]) -> str:
    """Return libpq's trace of what *connection* sends."""
    pgconn = driver_of(connection).pgconn
    with tempfile.TemporaryFile() as trace:
        pgconn.trace(trace.fileno())
        action()
        pgconn.untrace()
        trace.seek(0)
        return trace.read().decode()


def transactions_of(connection: Connection) -> Transaction:
    """What begins transactions of *connection*."""

    @contextmanager
    def transaction() -> Iterator[Connection]:
        with connection.begin():
            yield connection

    return transaction


def test_an_event_waits_twice_until_it_is_committed_and_its_claim_three_times(harness, engine):
    """What a message takes from the stream to its partner is made of these."""
    with engine.connect() as connection:
        transaction = transactions_of(connection)

        def apply(ticket: str) -> int:
            entries = [harness.event("ticket_win", ticket)]
            return round_trips(
                connection,
                lambda: apply_entries(
                    transaction, entries, clock=DatabaseClock(), parking_window=PARKING_WINDOW
                ),
            )

        admission = Admission(
            transaction=transaction,
            clock=DatabaseClock(),
            settings=delivery_settings(),
            monotonic=harness.now.timestamp,
        )

        def claim() -> tuple[int, int]:
            claimed: list[int] = []
            waited = round_trips(
                connection,
                lambda: claimed.append(len(admission.claim(8, partners=partners).claims)),
            )
            return waited, claimed[0]

        with transaction():
            partners = enabled_partners(connection, now=harness.now)
        first = apply("first"), claim()
        second = apply("second"), claim()

    assert first[1][1] == 1  # it makes the circuit as well
    assert second == (2, (3, 1))


def test_a_new_ticket_its_event_and_its_notice_are_one_statement(harness, engine):
    with engine.connect() as connection:

        def apply(ticket: str) -> int:
            entries = [harness.event("ticket_win", ticket)]
            sent = traced(
                connection,
                lambda: apply_entries(
                    transactions_of(connection),
                    entries,
                    clock=DatabaseClock(),
                    parking_window=PARKING_WINDOW,
                ),
            )
            return len(EXECUTED.findall(sent))

        apply("first")
        statements = apply("second")

    assert statements == len(("BEGIN", "clock", "operators", "look-up", "rows", "COMMIT"))


def test_what_is_sent_together_is_answered_together(written):
    with written.begin() as connection:
        trip = RoundTrip(connection)
        moment = AskedTime.of(DatabaseClock(), trip)
        trip.ask(WRITE, {"word": "a"})
        answer, named = trip.ask(WRITTEN), trip.ask(ONE)
        trip.run()

        assert answer.rows == [("a",)]
        assert named.named_rows[0].one == 1
        assert moment.read().utcoffset() is not None
        assert words(written) == []
    assert words(written) == ["a"]


def test_a_transaction_may_end_along_with_its_last_statement(written):
    with written.begin() as connection:
        write(connection, "a")
        write(connection, "b", commit=True)
        assert words(written) == ["a", "b"]
    with written.begin() as connection:  # the same session
        connection.execute(WRITE, {"word": "c"})
        assert words(written) == ["a", "b"]


def test_what_is_not_committed_along_is_undone_with_its_transaction(written):
    with written.connect() as connection:
        write(connection, "a")
        connection.rollback()
        write(connection, "b")
        connection.commit()

    assert words(written) == ["b"]


def test_behind_a_statement_that_fails_nothing_is_run_and_nothing_committed(written):
    with pytest.raises(DBAPIError) as refusal, written.begin() as connection:
        write(connection, "a", "a", "b", commit=True)

    assert isinstance(refusal.value.orig, psycopg.errors.UniqueViolation)
    assert words(written) == []
    with written.begin() as connection:
        write(connection, "c", commit=True)
    assert words(written) == ["c"]


def test_half_a_character_is_refused_without_being_shown(written):
    with pytest.raises(UnicodeEncodeError) as refusal, written.begin() as connection:
        write(connection, "secret\ud800")

    assert "secret" not in repr(refusal.value)
    assert words(written) == []


def test_a_session_that_was_ended_is_replaced_before_it_is_used(written, empty_database):
    with written.begin() as connection:
        former = driver_of(connection).info.backend_pid
    person = open_engine(empty_database, application_name="tests", pool_size=1)
    with person.begin() as connection:
        assert connection.execute(END, {"pid": former}).scalar_one()
    person.dispose()

    assert words(written) == []


def test_a_session_is_asked_whether_it_lives_if_it_was_not_used_for_a_while(written):
    seconds = [100.0]
    liveness = Liveness(written.dialect.do_ping, monotonic=lambda: seconds[0])
    record: Any = SimpleNamespace(info={})  # the pool's, of which only this is used
    proxy: Any = None
    with written.connect() as connection:
        driver = driver_of(connection)

        def take() -> int:
            return round_trips(connection, lambda: liveness.taken(driver, record, proxy))

        new = take()
        liveness.left(driver, record)
        a_moment_later = take()
        liveness.left(driver, record)
        seconds[0] += ASKED_AFTER
        later = take()
        liveness.left(driver, record)
        driver.close()
        with pytest.raises(InvalidatePoolError):
            liveness.taken(driver, record, proxy)
        connection.invalidate()

    assert (new, a_moment_later, later) == (0, 0, 1)
