"""The settings under which we work with PostgreSQL, whatever the role, database or server have set.

These settings override the defaults of a role or a database (ALTER ROLE … SET). A session of our
own is opened with them; behind a connection pooler each transaction sets them again
(`models.database.pooler`). Each new connection is checked once before it is used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import psycopg

from models.platform.durations import whole_milliseconds

ENCODING: Final = "UTF8"
OLDEST: Final = 150_000  # as libpq counts: PostgreSQL 15

# Our statements look up a batch of rows by their keys. The planner cannot know how small a batch
# is, and a prepared statement keeps the plan that suited a small table while the table grows:
# joined with the whole table, or sorted as a whole, each batch would cost more than the one before.
# So it must use an index, in its order, wherever there is one. `jit` is off, because where there is
# no index, servers before 18 take the cost of the disabled plan as a reason to compile.
_BY_KEY: Final = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
_FIXED: Final = {
    # An entry is acknowledged, or a response accepted, only after the commit.
    "synchronous_commit": "on",
    # A transaction that waits for a ticket's lock continues with the row as it is then (rule 19,
    # rule 20). Higher levels fail with 40001 instead, and the batch would be repeated again and
    # again.
    "default_transaction_isolation": "read committed",
    # The format of values: psycopg reads these and no others.
    "timezone": "UTC",
    "datestyle": "ISO,MDY",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    **_BY_KEY,
}
# `setting` is in the unit of the parameter, as in `session_settings`.
_IN_FORCE: Final = """
    SELECT pg_backend_pid(), (SELECT json_object_agg(lower(name), setting) FROM pg_settings
                               WHERE lower(name) = ANY(%s))"""


class UnusableDatabase(psycopg.OperationalError):
    """The server was reached but must not be used: the problem, and the remedy.

    It is an error of the configuration, so no work that was to be done is to blame for it.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        """Keep both, each a sentence without its full stop and without secrets."""
        super().__init__(f"{problem}. {remedy}")
        self.problem = problem
        self.remedy = remedy


def session_settings(
    *, statement_timeout: timedelta, lock_timeout: timedelta, idle_timeout: timedelta
) -> dict[str, str]:
    """Return all settings under which we work."""
    return {
        "statement_timeout": str(whole_milliseconds(statement_timeout)),
        "lock_timeout": str(whole_milliseconds(lock_timeout)),
        "idle_in_transaction_session_timeout": str(whole_milliseconds(idle_timeout)),
        **_FIXED,
    }


def startup_options(settings: Mapping[str, str]) -> str:
    """Return *settings* as libpq accepts them, to be sent when the connection is opened."""
    escaped = {name: value.replace(" ", "\\ ") for name, value in settings.items()}
    return " ".join(f"-c {name}={value}" for name, value in escaped.items())


def require_utf8(connection: psycopg.Connection[Any]) -> None:
    """Check a new connection. Raises UnusableDatabase if the database is not UTF8."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != ENCODING:
        raise UnusableDatabase(
            f"the database {connection.info.dbname} has the encoding {encoding}, which cannot store"
            " every text that an event may hold",
            "Create one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, restore a dump"
            " of the old one into it if it has data (deploy/BACKUP.md), and set"
            " SLIPWAY_DATABASE_URL to it",
        )


def require_supported(connection: psycopg.Connection[Any]) -> None:
    """Check a new connection. Raises UnusableDatabase if the server is too old for our tables."""
    version = connection.info.server_version
    if version < OLDEST:
        raise UnusableDatabase(
            f"the server at {connection.info.host}:{connection.info.port} is PostgreSQL"
            f" {version // 10_000}, which lacks what the tables need",
            f"Upgrade it to PostgreSQL {OLDEST // 10_000} or later, or correct the address",
        )


@dataclass(frozen=True, slots=True)
class Session:
    """What a connection is given to work with: a process of the server, and its settings."""

    is_own: bool
    """Whether the server's process is the one that the connection was given when it was opened."""
    differing: Sequence[str]
    """The required settings that are not in force, described."""


def read_session(connection: psycopg.Connection[Any], required: Mapping[str, str]) -> Session:
    """Ask which process works for *connection*, and compare its settings with *required*."""
    row = connection.execute(_IN_FORCE, [[*required]], prepare=False).fetchone()
    assert row is not None, "the query returns one row"
    pid, in_force = row
    differing = [
        f"{name} is {in_force.get(name)!r} instead of {value!r}"
        for name, value in required.items()
        if _normalised(in_force.get(name)) != _normalised(value)
    ]
    return Session(pid == connection.info.backend_pid, differing)


def _normalised(value: str | None) -> str | None:
    return None if value is None else value.replace(" ", "").lower()
