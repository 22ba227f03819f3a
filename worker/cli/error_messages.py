"""Turns the errors of other parts into a sentence and an exit code. Loaded only after an error."""

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from models.database.connection_failures import describe_failures, remedy_for
from models.database.errors import is_transient
from models.database.session import UnusableDatabase
from models.jobs import JobNotFound
from models.operators import (
    ApiKeyTaken,
    OperatorEnded,
    OperatorExists,
    OperatorInvalid,
    OperatorNotFound,
    OperatorProblem,
    Remedy,
)
from models.outbox.dead_letters import NotPossible
from models.platform.encryption import DecryptionFailed
from models.settings.errors import InvalidSettings
from models.settings.settings import read_database_settings, read_process_settings
from models.users.errors import UserExists, UserInvalid, UserNotFound
from models.users.passwords import TooManySignIns
from models.users.tokens import TokenExists, TokenInvalid, TokenNotFound
from producers.publisher import PublishError, SetupRefused
from worker.cli.errors import FAILED, WRONG_USAGE
from worker.local.servers import EmbeddedError
from worker.local.supervisor.procfile import ProcfileError
from worker.process.cluster_client import UnusableRedis
from worker.process.redis_errors import redis_problem

_DATABASE = "SLIPWAY_DATABASE_URL"
_WRONG_SETUP = (
    EmbeddedError,
    DecryptionFailed,
    OperatorInvalid,
    ProcfileError,
    SetupRefused,
    InvalidSettings,
    TokenInvalid,
    UnusableRedis,
    UserInvalid,
)
_FAILED = (
    ApiKeyTaken,
    JobNotFound,
    NotPossible,
    OperatorEnded,
    OperatorExists,
    OperatorNotFound,
    PublishError,
    TokenExists,
    TokenNotFound,
    TooManySignIns,
    UserExists,
    UserNotFound,
)

# Which option an operator's field comes from.
_OPTIONS: Mapping[str, str] = {
    "url": "--url",
    "protocol": "--protocol",
    "agent": "--agent",
    "sign_calls": "--sign",
    "close_delay": "--close-delay",
    "announces_tickets": "--announces-tickets",
    "rate": "--rate",
    "in_flight": "--in-flight",
    "timezone": "--timezone",
    "lottery_ticket": "--lottery-ticket",
    "secret": "--secret-file",
    "api_key": "--api-key-file",
    "switch_at": "--switch-at",
    "forget_at": "--forget-at",
}
_REMEDIES: Mapping[Remedy, str] = {
    Remedy.ROTATE: "exchange it with `slipway operators rotate-secret {code}`, or fix the file",
    Remedy.ADD_PUBLISHER: (
        "add a publisher with `slipway publishers add NAME --operator {code}`, or fix the file"
    ),
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """The sentence for the person, and the exit code."""

    sentence: str
    code: int


def explain(error: Exception) -> Explanation | None:
    """Explain *error*. Returns None if only a bug can cause it."""
    if isinstance(error, _WRONG_SETUP):
        return Explanation(_sentence(error), WRONG_USAGE)
    if isinstance(error, _FAILED):
        return Explanation(_sentence(error), FAILED)
    if isinstance(error, DBAPIError) and isinstance(error.orig, psycopg.Error):
        return _database(error.orig)
    if isinstance(error, UnicodeEncodeError):
        return Explanation(
            "an argument is not UTF-8 text; check the terminal's encoding", WRONG_USAGE
        )
    if isinstance(error, RedisError):
        problem = redis_problem(error, read_process_settings().redis_url)
        sentence = f"Redis (SLIPWAY_REDIS_URL) cannot be used: {problem}"
        return Explanation(sentence, WRONG_USAGE)
    return None


def _sentence(error: Exception) -> str:
    match error:
        case OperatorInvalid():
            return "; ".join(map(_problem, error.problems))
        case OperatorExists() | OperatorNotFound():
            return f"{error}; see `slipway operators list`"
        case _:
            return str(error)


def _problem(problem: OperatorProblem) -> str:
    """Return the problem with the option it comes from, and with what to do about it."""
    option = _OPTIONS.get(problem.field or "")
    where = "" if option is None else f" ({option})"
    remedy = _REMEDIES.get(problem.remedy) if problem.remedy is not None else None
    what_to_do = "" if remedy is None else f"; {remedy.format(code=problem.operator)}"
    return f"{problem}{where}{what_to_do}"


def _database(error: psycopg.Error) -> Explanation | None:
    # Never str() of SQLAlchemy's own error: it repeats the statement's parameters.
    match error:
        case UnusableDatabase():
            return Explanation(str(error), WRONG_USAGE)
        case psycopg.errors.UndefinedTable() | psycopg.errors.UndefinedColumn():
            return Explanation(
                "the database has no schema or an older one; run `slipway migrate`", WRONG_USAGE
            )
        case psycopg.OperationalError() if error.sqlstate is None:
            return unreachable_database(error, read_database_settings().database_url, _DATABASE)
        case _ if is_transient(error):
            return Explanation(f"the database refused a statement ({_first_line(error)})", FAILED)
        case _:
            return None


def unreachable_database(error: psycopg.Error, url: str, variable: str) -> Explanation:
    """Explain why nobody answers at *url*, which stands in *variable*."""
    remedy = remedy_for(error) or f"start the server, or correct {variable}"
    return Explanation(
        f"the database ({variable}) cannot be reached: {describe_failures(error, url)}; {remedy}",
        WRONG_USAGE,
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
