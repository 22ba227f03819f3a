"""Checks what PostgreSQL allows our sessions, and what other sessions keep from them."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from models.migrations.finalize import OTHER_VERSIONS
from models.platform.version import version
from worker.doctor.finding import Finding, doubtful

CONNECTIONS: Final = "PostgreSQL connections"
SESSIONS: Final = "PostgreSQL sessions"
LONGEST: Final = timedelta(minutes=10)  # no transaction of ours takes one
_FULL: Final = 0.8
# deploy/README.md, Connections: gateway, intake, deliverer, sweep and console.
_ONE_OF_EACH: Final = 18 + 4 + 4 + 5 + 10
_NO_LIMIT: Final = -1
# Of the sessions of others a role without rights sees no more than whose they are.
ROOM: Final = text("""
    SELECT current_user AS role, current_database() AS database,
           CASE WHEN r.rolsuper THEN -1 ELSE r.rolconnlimit END AS role_limit,
           CASE WHEN r.rolsuper THEN -1 ELSE d.datconnlimit END AS database_limit,
           CAST(current_setting('max_connections') AS int)
             - CAST(current_setting('superuser_reserved_connections') AS int) AS server_limit,
           count(*) FILTER (WHERE a.usesysid = r.oid) AS role_used,
           count(*) FILTER (WHERE a.datid = d.oid) AS database_used,
           count(*) FILTER (WHERE a.datid IS NOT NULL) AS server_used
      FROM pg_roles r CROSS JOIN pg_database d CROSS JOIN pg_stat_activity a
     WHERE r.rolname = current_user AND d.datname = current_database()
     GROUP BY r.oid, r.rolsuper, r.rolconnlimit, d.datconnlimit
""")
ENDING: Final = text("""
    SELECT name, setting FROM pg_settings
     WHERE name IN ('idle_session_timeout', 'transaction_timeout')
       AND CAST(setting AS bigint) > 0
     ORDER BY name
""")
FORGOTTEN: Final = text("""
    SELECT pid, coalesce(nullif(application_name, ''), 'no application name') AS name,
           CAST(extract(epoch FROM clock_timestamp() - xact_start) AS bigint) AS seconds
      FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()
       AND backend_type = 'client backend'
       AND xact_start < clock_timestamp() - CAST(:longest AS interval)
     ORDER BY xact_start LIMIT 5
""")


def check_room(connection: Connection, *, pooled: bool) -> Iterator[Finding]:
    """Compare the limits of role, database and server with what is used and needed."""
    room = connection.execute(ROOM).one()
    for whose, limit, used in _limits(room):
        if limit == _NO_LIMIT:
            continue
        if not pooled and limit < _ONE_OF_EACH:
            yield doubtful(
                CONNECTIONS,
                f"{whose} may have {limit}, and one process of each kind has up to {_ONE_OF_EACH}",
                remedy=_more(room, whose),
            )
        elif used >= _FULL * limit:
            yield doubtful(
                CONNECTIONS,
                f"{whose} has {used} of {limit}: soon a process gets none",
                remedy=_more(room, whose),
            )


def check_other_sessions(
    connection: Connection, *, longest: timedelta = LONGEST
) -> Iterator[Finding]:
    """Report limits that end our sessions, and what other sessions of this role do."""
    for row in connection.execute(ENDING):
        yield doubtful(
            SESSIONS,
            f"{row.name} is {row.setting} ms: PostgreSQL ends our sessions, and each is opened"
            " again",
            remedy=f"ALTER ROLE … SET {row.name} = 0 (or ALTER DATABASE …, or ALTER SYSTEM, where"
            " it is set)",
        )
    for row in connection.execute(FORGOTTEN, {"longest": longest}):
        yield doubtful(
            SESSIONS,
            f"a transaction of {row.name} (pid {row.pid}) is open for {row.seconds:,} s: no dead"
            " row is removed meanwhile, and its locks stay",
            remedy=f"end it where it was begun, or SELECT pg_terminate_backend({row.pid})",
        )
    names = connection.execute(OTHER_VERSIONS, {"version": version()}).scalars().all()
    if names:
        yield doubtful(
            SESSIONS,
            f"processes of another version than {version()} are connected: {', '.join(names)}",
            remedy="nothing while a release rolls out; otherwise restart what was left behind",
        )


def _limits(room: Row[Any]) -> Iterator[tuple[str, int, int]]:
    yield f"the role {room.role}", room.role_limit, room.role_used
    yield f"the database {room.database}", room.database_limit, room.database_used
    yield "the server", room.server_limit, room.server_used


def _more(room: Row[Any], whose: str) -> str:
    statement = {
        f"the role {room.role}": f'ALTER ROLE "{room.role}" CONNECTION LIMIT …',
        f"the database {room.database}": f'ALTER DATABASE "{room.database}" CONNECTION LIMIT …',
    }.get(whose, "raise max_connections in postgresql.conf")
    return f"{statement}: deploy/README.md counts what is needed; or put PgBouncer in front"
