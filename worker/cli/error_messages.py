"""Turns the errors of other parts into a sentence and an exit code. Loaded only after an error."""

from dataclasses import dataclass

import psycopg
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from models.database.errors import is_transient
from models.database.session import UnusableDatabase
from models.operators import ApiKeyTaken, OperatorExists, OperatorInvalid, OperatorUnknown
from models.platform.encryption import DecryptionFailed
from models.settings.errors import InvalidSettings
from producers.publisher import PublishError, SetupRefused
from worker.cli.errors import FAILED, WRONG_USAGE
from worker.local.servers import EmbeddedError
from worker.local.supervisor.procfile import ProcfileError

_WRONG_SETUP = (
    EmbeddedError,
    DecryptionFailed,
    OperatorInvalid,
    ProcfileError,
    SetupRefused,
    InvalidSettings,
)
_FAILED = (ApiKeyTaken, OperatorExists, OperatorUnknown, PublishError)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the person is told, and the exit code."""

    sentence: str
    code: int


def explain(error: Exception) -> Explanation | None:
    """Put *error* into words; none for one that only a bug can cause."""
    if isinstance(error, _WRONG_SETUP):
        return Explanation(str(error), WRONG_USAGE)
    if isinstance(error, _FAILED):
        return Explanation(str(error), FAILED)
    if isinstance(error, DBAPIError) and isinstance(error.orig, psycopg.Error):
        return _database(error.orig)
    if isinstance(error, UnicodeEncodeError):
        return Explanation(
            "an argument is not UTF-8 text; check the terminal's encoding", WRONG_USAGE
        )
    if isinstance(error, RedisError):
        sentence = (
            f"Redis did not do what it was asked ({_first_line(error)});"
            " check SLIPWAY_REDIS_URL and the server"
        )
        return Explanation(sentence, WRONG_USAGE)
    return None


def _database(error: psycopg.Error) -> Explanation | None:
    # Never str() of SQLAlchemy's own error: it repeats the statement's parameters.
    match error:
        case UnusableDatabase():
            return Explanation(str(error), WRONG_USAGE)
        case psycopg.errors.UndefinedTable() | psycopg.errors.UndefinedColumn():
            return Explanation(
                "the database has no or an older schema; run `slipway migrate`", WRONG_USAGE
            )
        case psycopg.OperationalError() if error.sqlstate is None:
            return Explanation(
                f"the database cannot be reached ({_first_line(error)});"
                " check SLIPWAY_DATABASE_URL and the server",
                WRONG_USAGE,
            )
        case _ if is_transient(error):
            return Explanation(
                f"the database did not do what it was asked ({_first_line(error)})", FAILED
            )
        case _:
            return None


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
