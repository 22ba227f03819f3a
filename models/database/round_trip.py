"""Sends statements together and waits once for the results of all of them.

Each statement that waits for the one before it costs a round trip to PostgreSQL: on an idle system
an event waits for those, and hardly for the work. Here they are sent in libpq's pipeline mode, with
BEGIN if the transaction begins with them and with COMMIT if it ends. The server runs them one after
the other; after an error it runs none of those behind it, COMMIT included.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Self

import psycopg
from psycopg.errors import PipelineAborted
from psycopg.rows import namedtuple_row
from sqlalchemy import Connection, TextClause
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError

from models.database.errors import ends_session, without_values
from models.database.pooler import may_begin
from models.platform.clock import NOW, Clock, DatabaseClock

Driver = psycopg.Connection[Any]
_DIALECT: Final = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy's
_NONE: Final[Mapping[str, object]] = MappingProxyType({})


class Answer:
    """What a statement returned. There is nothing to read before its trip was run."""

    def __init__(self) -> None:
        self._cursor: psycopg.Cursor[Any] | None = None

    def comes_by(self, cursor: psycopg.Cursor[Any]) -> None:
        """Read it from *cursor*."""
        self._cursor = cursor

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """The rows. Once."""
        return self._read().fetchall()

    @property
    def named_rows(self) -> list[Any]:
        """The rows, each with its columns by their names. Once."""
        cursor = self._read()
        cursor.row_factory = namedtuple_row
        return cursor.fetchall()

    def _read(self) -> psycopg.Cursor[Any]:
        assert self._cursor is not None, "the trip is run before its answers are read"
        return self._cursor


class _Question(NamedTuple):
    statement: TextClause
    parameters: Mapping[str, object]
    answer: Answer


class RoundTrip:
    """Statements of one transaction that are sent together, in the order in which they are asked.

    It may be run again and again, each time with other statements.
    """

    def __init__(self, connection: Connection) -> None:
        """Prepare; nothing is sent before `run`."""
        self.connection = connection
        self._questions: list[_Question] = []

    def ask(self, statement: TextClause, parameters: Mapping[str, object] = _NONE) -> Answer:
        """Send *statement* with the next run."""
        answer = Answer()
        self._questions.append(_Question(statement, parameters, answer))
        return answer

    def run(self, *, commit: bool = False) -> None:
        """Send what was asked, and wait for all of it. *commit*: the transaction ends with it.

        Raises DBAPIError, like any statement; then nothing behind the one that failed was run. With
        an error of the connection it stays open whether a COMMIT was.
        """
        questions, self._questions = self._questions, []
        if not questions and not commit:
            return
        if not self.connection.in_transaction():
            self.connection.begin()
        begin = may_begin(self.connection)
        driver = driver_of(self.connection)
        error: psycopg.Error | None = None
        try:
            with driver.pipeline():
                try:
                    self._send(driver, questions, begin=begin, commit=commit)
                except psycopg.Error as first:  # what follows only says that there was one
                    error = first
        except psycopg.Error as last:
            error = error or _cause_of(last)
        except UnicodeEncodeError as refusal:  # half a character
            without_values(refusal)
            raise
        if error is not None:
            raise failed(self.connection, error) from error

    def _send(
        self, driver: Driver, questions: Sequence[_Question], *, begin: bool, commit: bool
    ) -> None:
        if begin:
            driver.cursor().execute(b"BEGIN", prepare=False)
        listeners = self.connection.dispatch.before_cursor_execute
        for statement, parameters, answer in questions:
            cursor, sql = driver.cursor(), _compiled(statement)
            for listener in listeners:
                listener(self.connection, cursor, sql, parameters, None, False)  # noqa: FBT003 - SQLAlchemy's own event
            answer.comes_by(cursor)
            cursor.execute(sql.encode(), parameters, prepare=True)
        if commit:
            driver.cursor().execute(b"COMMIT", prepare=False)


def driver_of(connection: Connection) -> Driver:
    """Return the driver's connection below *connection*."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection), "the engine is psycopg's"
    return driver


def failed(connection: Connection, error: psycopg.Error) -> DBAPIError:
    """Return what to raise for *error*, as SQLAlchemy would; a session of no more use is closed."""
    if driver_of(connection).closed or ends_session(error):
        connection.invalidate(error)
    without_values(error)
    return DBAPIError(None, None, error)


def _cause_of(error: psycopg.Error) -> psycopg.Error:
    """Return the error for which the statements behind it were not run."""
    before = error.__context__
    while isinstance(error, PipelineAborted) and isinstance(before, psycopg.Error):
        error, before = before, before.__context__
    return error


@cache
def _compiled(statement: TextClause) -> str:
    """Return *statement* as the driver wants it; statements are constants, so they are few."""
    return str(statement.compile(dialect=_DIALECT))


class AskedTime:
    """The time by a clock, which may have to be asked for within a trip."""

    def __init__(self, given: datetime | None = None, *, answer: Answer | None = None) -> None:
        """Keep one of both."""
        self.given = given
        """For a statement of the same trip: the time, or NULL for the database's own clock."""
        self._answer = answer

    @classmethod
    def of(cls, clock: Clock, trip: RoundTrip) -> Self:
        """Ask *clock*; the database's own within *trip*."""
        if isinstance(clock, DatabaseClock):
            return cls(answer=trip.ask(NOW))
        return cls(clock.now(trip.connection))

    def read(self) -> datetime:
        """Return the time; the database's, once, after the trip was run."""
        if self._answer is None:
            assert self.given is not None, "it is given or asked for"
            return self.given
        ((now,),) = self._answer.rows
        time: datetime = now
        return time.astimezone(UTC)
