"""What a database's error says, without the values it concerns.

PostgreSQL quotes them: "Key (player_id)=(…) already exists", "Failing row contains (…)". Errors
travel further than rows do, into logs, tracebacks and Flower.
"""

import re
from typing import Final

import psycopg

# In data errors the sentence itself quotes the value.
_QUOTING_CLASS: Final = "22"
_QUOTED: Final = re.compile(r'".*"', re.DOTALL)
_DEADLOCK: Final = "40P01"  # its detail names processes, and no value


def without_values(error: BaseException) -> None:
    """Take the values out of *error* in place: what is raised, logged and kept says none of them.

    Its type, its SQLSTATE, and the names of tables and constraints stay.
    """
    if isinstance(error, UnicodeEncodeError):  # its `repr` holds the whole text
        error.args = (error.encoding, "", 0, 1, f"{error.reason} at {error.start}")
    elif isinstance(error, psycopg.Error) and error.sqlstate and error.diag.message_primary:
        error.args = (_sentence(error, error.diag.message_primary), *error.args[1:])


def _sentence(error: psycopg.Error, primary: str) -> str:
    assert error.sqlstate is not None, "asked before"
    if error.sqlstate.startswith(_QUOTING_CLASS):
        primary = _QUOTED.sub('"…"', primary)
    if error.sqlstate == _DEADLOCK and error.diag.message_detail:
        return f"{primary}\nDETAIL:  {error.diag.message_detail}"
    hint = error.diag.message_hint
    return f"{primary}\nHINT:  {hint}" if hint else primary
