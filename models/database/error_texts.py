"""What a database's error says, without the values it concerns.

PostgreSQL quotes them: "Key (player_id)=(…) already exists", "Failing row contains (…)". Errors
travel further than rows do, into logs, tracebacks and Flower.
"""

import re
from typing import Final

import psycopg
from sqlalchemy.exc import DBAPIError

# In data errors the sentence itself quotes the value.
_QUOTING_CLASS: Final = "22"
_QUOTED: Final = re.compile(r'".*"', re.DOTALL)
_DEADLOCK: Final = "40P01"  # its detail names processes, and no value
_LINE_CHARACTERS_MAX: Final = 500


def without_values(error: BaseException) -> None:
    """Take the values out of *error* in place: what is raised, logged and kept says none of them.

    Its type, its SQLSTATE, and the names of tables and constraints stay.
    """
    if isinstance(error, UnicodeEncodeError):  # its `repr` holds the whole text
        error.args = (error.encoding, "", 0, 1, f"{error.reason} at {error.start}")
    elif isinstance(error, psycopg.Error) and error.sqlstate and error.diag.message_primary:
        error.args = (_sentence(error, error.diag.message_primary), *error.args[1:])


def error_line(error: Exception) -> str:
    """Return the error's type and the first line of its text: no statement, no parameters."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return f"{type(cause).__name__}: {str(cause).partition(chr(10))[0]}"[:_LINE_CHARACTERS_MAX]


def error_name(error: Exception) -> str:
    """Return the error's type and SQLSTATE, without its text, which may quote values."""
    cause = getattr(error, "orig", None) or error
    state = getattr(cause, "sqlstate", None)
    return f"{type(cause).__name__} {state}" if state else type(cause).__name__


def _sentence(error: psycopg.Error, primary: str) -> str:
    assert error.sqlstate is not None, "asked before"
    if error.sqlstate.startswith(_QUOTING_CLASS):
        primary = _QUOTED.sub('"…"', primary)
    if error.sqlstate == _DEADLOCK and error.diag.message_detail:
        return f"{primary}\nDETAIL:  {error.diag.message_detail}"
    hint = error.diag.message_hint
    return f"{primary}\nHINT:  {hint}" if hint else primary
