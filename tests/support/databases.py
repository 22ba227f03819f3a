"""Databases of a test's own, copied from one that is migrated once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from sqlalchemy import Engine, make_url


def address_of(engine: Engine) -> str:
    """Return the URL that a setting takes; the engine's own names its driver."""
    plain = engine.url.set(drivername="postgresql")
    return plain.render_as_string(hide_password=False)


def address(server_url: str, database: str) -> str:
    """Return the address of another database of the same server."""
    return make_url(server_url).set(database=database).render_as_string(hide_password=False)


def name_of(database_url: str) -> str:
    """Return the name of the database at an address."""
    name = make_url(database_url).database
    assert name is not None, "each of ours has one"
    return name


@contextmanager
def owner(server_url: str) -> Iterator[psycopg.Connection]:
    """Connect outside any transaction, as CREATE DATABASE wants it."""
    with connect(server_url) as connection:
        yield connection


def connect(server_url: str) -> psycopg.Connection:
    """Open a session outside any transaction."""
    plain = make_url(server_url).set(drivername="postgresql")
    return psycopg.connect(plain.render_as_string(hide_password=False), autocommit=True)


def leave_statistics_alone(server_url: str) -> None:
    """Let autovacuum, which stays on, come to no table while the tests run.

    Whether it analysed a test's tables before or after they were filled would decide about plans.
    """
    with owner(server_url) as connection:
        connection.execute("ALTER SYSTEM SET autovacuum_naptime = '24d'")
        connection.execute("SELECT pg_reload_conf()")


class _KeptSession:
    """A session in which databases are made and dropped, opened when first needed."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._connection: psycopg.Connection | None = None

    def execute(self, statement: sql.Composed) -> None:
        """Run *statement*, in a new session if a test has ended the last one."""
        try:
            self._session().execute(statement)
        except psycopg.OperationalError:
            self.close()
            self._session().execute(statement)

    def close(self) -> None:
        """End the session."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _session(self) -> psycopg.Connection:
        if self._connection is None:
            self._connection = connect(self._server_url)
        return self._connection


_kept: dict[str, _KeptSession] = {}


@contextmanager
def kept_session(server_url: str) -> Iterator[None]:
    """Make and drop databases of this server in one session: thousands cost more than the work."""
    _kept[server_url] = _KeptSession(server_url)
    try:
        yield
    finally:
        _kept.pop(server_url).close()


def create(server_url: str, database: str, *, template: str = "template1") -> str:
    """Create *database* as a copy of *template* and return its address."""
    # Copying files costs half of what logging every block does; nothing here is replicated.
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
    _execute(server_url, statement.format(sql.Identifier(database), sql.Identifier(template)))
    return address(server_url, database)


@contextmanager
def copied(server_url: str, database: str, *, template: str) -> Iterator[str]:
    """Lend the address of a copy of *template*, and drop it at the end."""
    yield create(server_url, database, template=template)
    drop(server_url, database)


def template_of(engine: Engine) -> str:
    """Return the name of its database, disconnected: PostgreSQL copies none that is in use."""
    engine.dispose()
    return name_of(address_of(engine))


def create_latin(server_url: str, database: str) -> str:
    """Create *database* with the encoding LATIN1 and return its address."""
    statement = sql.SQL(
        "CREATE DATABASE {} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    )
    _execute(server_url, statement.format(sql.Identifier(database)))
    return address(server_url, database)


def drop(server_url: str, database: str) -> None:
    """Remove *database*, even if sessions are connected to it."""
    statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
    _execute(server_url, statement.format(sql.Identifier(database)))


def _execute(server_url: str, statement: sql.Composed) -> None:
    if server_url in _kept:
        _kept[server_url].execute(statement)
        return
    with owner(server_url) as connection:
        connection.execute(statement)


def ask(database_url: str, question: LiteralString) -> tuple[Any, ...]:
    """Return the first row of the answer."""
    with owner(database_url) as connection:
        answer = connection.execute(question).fetchone()
    assert answer is not None, "the question has an answer"
    return answer
