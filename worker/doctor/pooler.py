"""Checks what stands between Slipway and PostgreSQL, and how a migration gets past it."""

from collections.abc import Iterator
from typing import Any, Final

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from models.database.connection_failures import describe_failures, remedy_for
from models.database.engine import open_engine
from models.database.session import UnusableDatabase
from models.settings.settings import Settings
from worker.doctor.finding import Finding, doubtful, ok, wrong

POOLER: Final = "connection pooler"
MIGRATIONS: Final = "migrations"
_NAME: Final = "slipway doctor"
_ADDRESS: Final = "SLIPWAY_MIGRATION_DATABASE_URL"
_CONSOLE: Final = "pgbouncer"  # the database by which PgBouncer answers questions about itself
_REFUSED: Final = "not allowed"  # by a PgBouncer, to a user that is not in its stats_users
_PROCESS: Final = text("SELECT pg_backend_pid()")
# A database of a server; the moment differs between any two servers.
_PLACE: Final = text("""
    SELECT pg_postmaster_start_time() AS started, oid FROM pg_database
     WHERE datname = current_database()""")

Place = tuple[object, ...]


def check_pooler(settings: Settings) -> Finding:
    """Name the pooler behind the database URL, and its mode.

    It may have us wait for a session of the server, as long as its own limit is.
    """
    engine = open_engine(settings.database_url, pool_size=2, application_name=_NAME)
    try:
        with engine.connect() as connection:
            name, mode = _ask_console(connection)
            if mode is None:
                with engine.connect() as second:
                    mode = _observed_mode(connection, second)
    finally:
        engine.dispose()
    if mode == "session":
        return doubtful(
            POOLER,
            f"{name} in session mode: each connection keeps a session of the server, so the pooler"
            " saves none",
            remedy="set pool_mode = transaction in PgBouncer's configuration, or set"
            " SLIPWAY_DATABASE_URL to the address of the server itself",
        )
    return ok(
        POOLER,
        f"{name} in {mode} mode: each transaction sets its limits itself, and no statement is"
        " prepared",
    )


def place_of(connection: Connection) -> Place:
    """Return what tells the database behind *connection* from every other one."""
    return tuple(connection.execute(_PLACE).one())


def check_migration_address(settings: Settings, *, pooled: bool, place: Place) -> Iterator[Finding]:
    """Check that a migration reaches the server itself, and the same database as the processes."""
    if settings.migration_database_url == settings.database_url:
        if pooled:
            yield doubtful(
                MIGRATIONS,
                "slipway migrate would go through the connection pooler, which it refuses",
                remedy=f"set {_ADDRESS} to the address of the server itself, wherever"
                " slipway migrate runs",
            )
        return
    engine = open_engine(
        settings.migration_database_url, pool_size=1, application_name=_NAME, own_session=True
    )
    try:
        with engine.connect() as connection:
            same = place_of(connection) == place
    except DBAPIError as error:
        yield _migration_trouble(error, settings.migration_database_url)
        return
    finally:
        engine.dispose()
    if same:
        yield ok(MIGRATIONS, "slipway migrate reaches the same database, past any pooler")
    else:
        yield wrong(
            MIGRATIONS,
            "slipway migrate would change another database than the one that the processes use",
            remedy=f"let {_ADDRESS} and SLIPWAY_DATABASE_URL lead to one database of one server",
        )


def _migration_trouble(error: DBAPIError, url: str) -> Finding:
    if isinstance(error.orig, UnusableDatabase):
        return wrong(MIGRATIONS, error.orig.problem, remedy=error.orig.remedy)
    cause = error.orig or error
    known = remedy_for(cause)
    return doubtful(
        MIGRATIONS,
        f"the server cannot be reached from here: {describe_failures(cause, url)}",
        remedy=f"fix {_ADDRESS}, unless slipway migrate runs elsewhere and reaches it from there"
        + ("" if known is None else f"; {known}"),
    )


def _ask_console(connection: Connection) -> tuple[str, str | None]:
    """Return the pooler's name, and its mode if it tells it to our user."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection), "the engine is psycopg's"
    own = {**driver.info.get_parameters(), "password": driver.info.password, "dbname": _CONSOLE}
    for name in ("options", "target_session_attrs"):  # refused there; not understood there
        own.pop(name, None)
    try:
        # It understands neither transactions nor parameters.
        with psycopg.connect(make_conninfo(**own), autocommit=True) as console:
            version = _rows(console, b"SHOW VERSION")[0]["version"]
            pools = _rows(console, b"SHOW POOLS")
    except psycopg.Error as error:
        known = "PgBouncer" if _REFUSED in str(error) else "a pooler that does not say its name"
        return known, None
    ours = (driver.info.dbname, driver.info.user)
    modes = [pool["pool_mode"] for pool in pools if (pool["database"], pool["user"]) == ours]
    return version, modes[0] if modes else None


def _rows(console: psycopg.Connection[Any], question: bytes) -> list[dict[str, str]]:
    return console.cursor(row_factory=dict_row).execute(question).fetchall()


def _observed_mode(first: Connection, second: Connection) -> str:
    """Return in which mode two connections of ours share the server's processes.

    The second one is asked while the first has no transaction: in transaction mode it is given the
    process that was used last, unless another client is quicker.
    """
    process = first.execute(_PROCESS).scalar_one()
    first.commit()
    if second.execute(_PROCESS).scalar_one() == process:
        return "transaction"
    return "session" if first.execute(_PROCESS).scalar_one() == process else "transaction"
