"""What a session with PostgreSQL must be like, whatever role, database or server have set.

What is asked for here wins over the defaults of a role or a database (ALTER ROLE … SET), but not
over something between us and the server that leaves the start-up options out. So each new
connection is looked at once before it is used.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import psycopg

from models.platform.durations import whole_milliseconds

ENCODING: Final = "UTF8"

# Our statements look a batch of rows up by their keys. The planner cannot know how small a batch
# is, and a prepared statement keeps the plan that suited a small table while the table grows:
# joined with the whole of it, or sorted as a whole, each batch would cost more than the one before.
# So it is to use an index, in its order, wherever there is one. Without `jit`: where there is none,
# servers before 18 take the price of the forbidden for a reason to compile.
_BY_KEY: Final = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
_DIRECTLY: Final = "Set SLIPWAY_DATABASE_URL to the address of the server itself"
_FIXED: Final = {
    # An entry is finished, or a partner believed, after the commit.
    "synchronous_commit": "on",
    # Who waits for a ticket's lock goes on with the row as it is then (rules 19 and 20). The higher
    # levels answer with 40001 instead, and the chunk would be done again and again.
    "default_transaction_isolation": "read committed",
    # How values are written: psycopg reads these and no others.
    "timezone": "UTC",
    "datestyle": "ISO,MDY",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    **_BY_KEY,
}
# `setting` counts in the unit of the parameter, as `session_settings` does.
_IN_FORCE: Final = """
    SELECT pg_backend_pid(), (SELECT json_object_agg(lower(name), setting) FROM pg_settings
                               WHERE lower(name) = ANY(%s))"""


class UnusableDatabase(psycopg.OperationalError):
    """The server was reached, and must not be worked with: what is wrong, and what to do.

    An error of the set-up, so nothing that was to be done is to blame for it.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        """Keep both, each a sentence without its full stop and without secrets."""
        super().__init__(f"{problem}. {remedy}")
        self.problem = problem
        self.remedy = remedy


def session_settings(
    *, statement_timeout: timedelta, lock_timeout: timedelta, idle_timeout: timedelta
) -> dict[str, str]:
    """All that a session is opened with."""
    return {
        "statement_timeout": str(whole_milliseconds(statement_timeout)),
        "lock_timeout": str(whole_milliseconds(lock_timeout)),
        "idle_in_transaction_session_timeout": str(whole_milliseconds(idle_timeout)),
        **_FIXED,
    }


def startup_options(settings: Mapping[str, str]) -> str:
    """*settings* as libpq takes them, to be sent when the connection is opened."""
    escaped = {name: value.replace(" ", "\\ ") for name, value in settings.items()}
    return " ".join(f"-c {name}={value}" for name, value in escaped.items())


def require_settings(connection: psycopg.Connection[Any], asked: Mapping[str, str]) -> None:
    """Look at a new connection. Raises UnusableDatabase where it is not what was asked for."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != ENCODING:
        raise UnusableDatabase(
            f"the database {connection.info.dbname} has the encoding {encoding}, which cannot store"
            " every text that an event may hold",
            "Create one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, restore a dump"
            " of the old one into it if it has data (deploy/BACKUP.md), and set"
            " SLIPWAY_DATABASE_URL to it",
        )
    connection.autocommit = True  # a question of its own, without a transaction around it
    answer = connection.execute(_IN_FORCE, [[*asked]], prepare=False).fetchone()
    connection.autocommit = False
    assert answer is not None, "one row"
    pid, in_force = answer
    if pid != connection.info.backend_pid:
        raise UnusableDatabase(
            "there is a connection pooler (PgBouncer or the like) between Slipway and PostgreSQL:"
            " the server's process is not the one that the connection was given. Prepared"
            " statements and session settings get mixed up there",
            _DIRECTLY,
        )
    lost = [
        f"{name} is {in_force.get(name)!r} instead of {value!r}"
        for name, value in asked.items()
        if _plain(in_force.get(name)) != _plain(value)
    ]
    if lost:
        raise UnusableDatabase(
            f"the session does not have the settings it was opened with: {lost[0]}"
            + (f" ({len(lost)} differ)" if len(lost) > 1 else "")
            + ". A pooler or proxy between Slipway and PostgreSQL drops the start-up parameter"
            " `options`",
            _DIRECTLY,
        )


def _plain(value: str | None) -> str | None:
    return None if value is None else value.replace(" ", "").lower()
