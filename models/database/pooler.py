"""Works through a connection pooler, which shares the server's sessions between its clients.

Behind PgBouncer in transaction mode, or what behaves like it, a session is ours for the length of a
transaction. Settings and prepared statements that outlast it would reach another client. So each
transaction sets what it needs, and no statement is prepared.

A connection counts as pooled if its start-up `options` are refused or do not arrive, or if the
server's process is not the one that the connection was given when it was opened. Whether a pooler
can keep prepared statements (PgBouncer can since 1.21) cannot be seen from here.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, PoolProxiedConnection
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.pool import ConnectionPoolEntry

from models.database.session import (
    Session,
    UnusableDatabase,
    read_session,
    require_supported,
    require_utf8,
)

Driver = psycopg.Connection[Any]

DRIVER: Final = "postgresql+slipway"
"""The scheme of an engine whose transactions begin as the connection needs it."""

_BEGIN: Final = "slipway_begin"  # in the pool's record of a pooled connection: its statements
_BEGUN: Final = "slipway_begun"  # there, too: the last transaction was begun by its own statements
_ISOLATION: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"
_READ_ONLY: Final = f"{_ISOLATION} READ ONLY"
# By the last report of these settings the driver reads values. PgBouncer passes reports on, but not
# which session they are from; so what another client left in one of them may be believed of all.
_REPORTED: Final = {  # ours, and some other value
    "TimeZone": ("UTC", "Etc/GMT+12"),
    "DateStyle": ("ISO, MDY", "SQL, DMY"),
    "IntervalStyle": ("postgres", "iso_8601"),
}
# What PgBouncer, RDS Proxy and Neon's pooler say of our start-up options; none has a SQLSTATE here.
_OPTIONS_REFUSED: Final = ("startup parameter", "command-line options")
_NO_TRANSACTIONS: Final = "statement pooling mode"
_DIRECTLY: Final = (
    "Set SLIPWAY_MIGRATION_DATABASE_URL to the address of the server itself; the processes may go"
    " on using the pooler"
)


class _Psycopg(PGDialect_psycopg):
    """SQLAlchemy's own, but for how a transaction begins on a pooled connection."""

    supports_statement_cache = True

    def do_begin(self, dbapi_connection: PoolProxiedConnection) -> None:
        """Begin, with all settings, in one message; elsewhere the driver begins by itself."""
        if (settings := dbapi_connection.info.get(_BEGIN)) is not None:
            _begin(_driver(dbapi_connection), settings)
        elif dbapi_connection.info.pop(_BEGUN, False):
            _driver(dbapi_connection).autocommit = False


registry.register("postgresql.slipway", __name__, _Psycopg.__name__)


class Opening:
    """How the connections of one engine are opened and prepared."""

    def __init__(self, required: Mapping[str, str], *, search_path: str, own_session: bool) -> None:
        """Keep what each session or transaction must have.

        *search_path*: the database URL's own, or nothing. *own_session*: refuse a pooler.
        """
        self._required = required
        self._search_path = search_path
        self._own_session = own_session
        self._options_refused = False

    def connect(self, connect: Callable[..., Driver], parameters: Mapping[str, Any]) -> Driver:
        """Connect with *parameters*, without `options` where a pooler does not take them."""
        if not self._options_refused:
            try:
                return connect(**parameters)
            except psycopg.OperationalError as error:
                if not any(words in str(error) for words in _OPTIONS_REFUSED):
                    raise
                if self._own_session:
                    raise _pooler_refused("it refuses the start-up parameter `options`") from None
                self._options_refused = True
        return connect(**{**parameters, "options": ""})

    def prepare(self, driver: Driver, record: ConnectionPoolEntry) -> None:
        """Check a new connection, and set it up for a pooler if there is one.

        Raises UnusableDatabase if it cannot have the settings that are required.
        """
        try:
            self._prepare(driver, record)
        except BaseException:
            driver.close()  # the pool forgets it
            raise

    def _prepare(self, driver: Driver, record: ConnectionPoolEntry) -> None:
        require_supported(driver)
        require_utf8(driver)
        driver.autocommit = True  # a query without a transaction
        session = read_session(driver, self._required)
        if session.is_own and not session.differing and not self._options_refused:
            driver.autocommit = False
            return
        if self._own_session:
            raise _pooler_refused(_symptom(session))
        # Left in autocommit: the driver must not begin a transaction of its own before ours.
        driver.prepare_threshold = None
        record.info[_BEGIN] = self._settings()
        self._try(driver, record.info[_BEGIN])

    def _settings(self) -> str:
        """Return the statements that follow BEGIN. The values are our own, but for one."""
        statements = [f"SET LOCAL {name} = '{value}'" for name, value in self._required.items()]
        if self._search_path:
            path = self._search_path.replace("'", "''")
            statements.append(f"SELECT set_config('search_path', '{path}', true)")
        else:  # what a session of our own would have
            statements.append("SET LOCAL search_path TO DEFAULT")
        return ";".join(statements)

    def _try(self, driver: Driver, settings: str) -> None:
        """Require that a transaction has its settings."""
        try:
            _begin(driver, settings)
            session = read_session(driver, self._required)
            driver.rollback()
        except psycopg.OperationalError as error:
            if _NO_TRANSACTIONS not in str(error):
                raise
            raise UnusableDatabase(
                "the connection pooler between Slipway and PostgreSQL pools statements, so that no"
                " transaction can be opened",
                "Set pool_mode = transaction in PgBouncer's configuration, for this database and"
                " user too, or set SLIPWAY_DATABASE_URL to the address of the server itself",
            ) from None
        if session.differing:
            raise UnusableDatabase(
                "a pooler or proxy between Slipway and PostgreSQL drops settings: in a transaction"
                f" {session.differing[0]}",
                "Set SLIPWAY_DATABASE_URL to the address of the server itself",
            )


def is_pooled(connection: Connection) -> bool:
    """Return whether *connection* goes through a pooler, as found when it was opened."""
    return _BEGIN in connection.info


def _begin(driver: Driver, settings: str) -> None:
    begin = _READ_ONLY if driver.read_only else _ISOLATION
    driver.execute(f"{begin};{settings}".encode())
    if stale := [name for name in _REPORTED if _is_stale(driver, name)]:
        # A server reports what differs from its own last report: first something else, then ours.
        for place in (1, 0):
            words = [f"SET LOCAL {name} = '{_REPORTED[name][place]}'" for name in stale]
            driver.execute(";".join(words).encode())
        if still := [name for name in stale if _is_stale(driver, name)]:
            raise UnusableDatabase(
                f"the connection pooler hides from its clients which {still[0]} is in force",
                "Set SLIPWAY_DATABASE_URL to the address of the server itself",
            )


def may_begin(connection: Connection) -> bool:
    """Return whether the caller has to send BEGIN himself, with his first statement.

    Otherwise the transaction has begun already. The driver, which would wait for BEGIN alone, does
    not begin this one.
    """
    driver = _driver(connection.connection)
    if driver.autocommit or driver.info.transaction_status is not TransactionStatus.IDLE:
        return False
    driver.autocommit = True
    connection.info[_BEGUN] = True
    return True


def begin_again(connection: Connection) -> None:
    """Roll the transaction back and let it begin again, for the caller who opened it the same."""
    _driver(connection.connection).rollback()
    connection.dialect.do_begin(connection.connection)


def _is_stale(driver: Driver, name: str) -> bool:
    """Return whether the driver would read values as another client's settings had them written."""
    return driver.info.parameter_status(name) not in (_REPORTED[name][0], None)


def _driver(pooled: PoolProxiedConnection) -> Driver:
    driver = pooled.driver_connection
    assert isinstance(driver, psycopg.Connection), "the engine is psycopg's"
    return driver


def _symptom(session: Session) -> str:
    if not session.is_own:
        return "the server's process is not the one that the connection was given"
    return f"settings do not arrive: {session.differing[0]}" if session.differing else "no options"


def _pooler_refused(symptom: str) -> UnusableDatabase:
    return UnusableDatabase(
        "there is a connection pooler (PgBouncer or the like) between this migration and"
        f" PostgreSQL: {symptom}. A migration needs a session of its own, or its locks and settings"
        " stay behind in the session of another client",
        _DIRECTLY,
    )
