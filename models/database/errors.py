"""What a database error means: who is to blame for it, and its text without the values it quotes.

PostgreSQL quotes them: "Key (player_id)=(…) already exists", "Failing row contains (…)". Errors
travel further than rows do, into logs, tracebacks and Flower.
"""

import re
from enum import Enum
from typing import Final

import psycopg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError
from sqlalchemy.exc import TimeoutError as PoolIsExhausted

UNEXPLAINED: Final = "unexplained_database_error"  # a log event, and an alert
UNEXPLAINED_TRIES: Final = 3  # of a whole batch, before it is split for such an error

# Rule 21, by class of SQLSTATE: the server itself reports a problem, and we wait for as long as it
# lasts.
_TRANSIENT_CLASSES: Final = frozenset(
    {
        "08",  # the connection failed
        "40",  # rolled back: deadlock, serialization
        "53",  # resources: disk full, out of memory, too many connections
        "55",  # object not ready: a lock was not available in time (55P03)
        "57",  # intervention: statement timeout (57014), shutdown, restart
        "58",  # the server's own machine failed: input and output
        # Beyond rule 21: a table, column or right is missing, because the schema is older than this
        # code. No event causes that, and rejecting all of them would be worse than waiting.
        "42",
    }
)
# States of the other classes that are the server's, not the event's.
_TRANSIENT_STATES: Final = frozenset(
    {
        "0A000",  # a column changed its type under a prepared statement; gone after the rollback
        "25006",  # a read-only server: the primary was just demoted
        "25P03",  # our own limit on idling inside a transaction: this process was frozen
        "25P04",  # the same for the whole transaction, where the server sets such a limit
    }
)
# All that a row can cause: cardinality, data, integrity.
_ROW_CLASSES: Final = frozenset({"21", "22", "23"})
# After these the session has lost its transaction or its prepared statements.
_SESSION_LOST: Final = frozenset({"25", "26"})
# Behind a pooler that was not noticed: a statement prepared in one session is another one's, or is
# there already. It passes in a new session.
_STATEMENTS_MIXED_UP: Final = frozenset({"08P01", "42P05"})

# In data errors the message itself quotes the value.
_QUOTING_CLASS: Final = "22"
_QUOTED: Final = re.compile(r'".*"', re.DOTALL)
_DEADLOCK: Final = "40P01"  # its detail names processes, and no value
_LINE_CHARACTERS_MAX: Final = 500


class Blame(Enum):
    """Who is to blame for an error."""

    CONTENT = "content"
    """What was to be stored, or what our program made of it."""
    SERVER = "server"
    """The server, the connection or the configuration, by what the error says: it passes."""
    UNCLEAR = "unclear"
    """Nothing that a row can cause, and nothing that is known to pass."""


def is_transient(error: BaseException) -> bool:
    """Return whether the same work is to be tried again, because its content is not to blame."""
    return blame(error) is not Blame.CONTENT


def blame(error: BaseException) -> Blame:
    """Return who is to blame for *error* (rule 21).

    The content is to blame for what a row can cause alone: SQLSTATE classes 21, 22 and 23, what
    psycopg refuses before it is sent (a NUL in a text), and an error of our own program. A lost
    connection has no SQLSTATE, because no server was left to send one. For any other database
    error, and for a machine without memory or files, the content is not to blame.
    """
    cause = error.orig if isinstance(error, StatementError) and error.orig is not None else error
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return Blame.UNCLEAR if loses_session(cause) else Blame.SERVER
    match cause:
        case PoolIsExhausted():
            return Blame.SERVER
        case psycopg.Error():
            return _blame_of(cause)
        case UnicodeEncodeError() if not _is_utf8(cause.encoding):
            return Blame.UNCLEAR  # the database's encoding; half a character is the row's own fault
        case SQLAlchemyError() | OSError() | MemoryError():
            return Blame.UNCLEAR
        case _:
            return Blame.CONTENT


def loses_session(error: BaseException | None) -> bool:
    """Return whether a session lost its transaction or its prepared statements with *error*."""
    return _state(error)[:2] in _SESSION_LOST


def mixes_up_statements(error: BaseException | None) -> bool:
    """Return whether *error* says that a session has other prepared statements than expected."""
    return _state(error) in _STATEMENTS_MIXED_UP


def ends_session(error: BaseException | None) -> bool:
    """Return whether the session in which *error* came is of no more use (it may be open still)."""
    return (
        isinstance(error, psycopg.errors.ReadOnlySqlTransaction)
        or loses_session(error)
        or mixes_up_statements(error)
    )


def without_values(error: BaseException) -> None:
    """Remove the values from *error* in place, so that no traceback, log or screen shows them.

    Its type, its SQLSTATE, and the names of tables and constraints stay.
    """
    if isinstance(error, UnicodeEncodeError):  # its `repr` holds the whole text
        error.args = (error.encoding, "", 0, 1, f"{error.reason} at {error.start}")
    elif isinstance(error, psycopg.Error) and error.sqlstate and error.diag.message_primary:
        error.args = (_text(error, error.diag.message_primary), *error.args[1:])


def error_line(error: Exception) -> str:
    """Return the error's type and the first line of its text: no statement, no parameters."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return f"{type(cause).__name__}: {str(cause).partition(chr(10))[0]}"[:_LINE_CHARACTERS_MAX]


def error_name(error: Exception) -> str:
    """Return the error's type and SQLSTATE, without its text, which may quote values."""
    cause = getattr(error, "orig", None) or error
    state = getattr(cause, "sqlstate", None)
    return f"{type(cause).__name__} {state}" if state else type(cause).__name__


def _blame_of(error: psycopg.Error) -> Blame:
    state = _state(error)
    if not state:
        if isinstance(error, psycopg.OperationalError):
            return Blame.SERVER
        return Blame.CONTENT if isinstance(error, psycopg.DataError) else Blame.UNCLEAR
    if state[:2] in _TRANSIENT_CLASSES or state in _TRANSIENT_STATES:
        return Blame.SERVER
    return Blame.CONTENT if state[:2] in _ROW_CLASSES else Blame.UNCLEAR


def _state(error: BaseException | None) -> str:
    return (isinstance(error, psycopg.Error) and error.sqlstate) or ""


def _is_utf8(encoding: str) -> bool:
    return encoding.lower().replace("-", "").replace("_", "") == "utf8"


def _text(error: psycopg.Error, primary: str) -> str:
    assert error.sqlstate is not None, "checked by the caller"
    if error.sqlstate.startswith(_QUOTING_CLASS):
        primary = _QUOTED.sub('"…"', primary)
    if error.sqlstate == _DEADLOCK and error.diag.message_detail:
        return f"{primary}\nDETAIL:  {error.diag.message_detail}"
    advice = error.diag.message_hint
    return f"{primary}\nHINT:  {advice}" if advice else primary
