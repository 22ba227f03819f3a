"""What foreign sessions do to PostgreSQL: locks, triggers on our tables, no free connection."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, LiteralString

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from tests.support.databases import owner
from tests.support.wait import eventually
from worker.local.servers import Servers

TABLES: Final = ("ticket", "notice", "ticket_event")
CROWD_MAX: Final = 500
ENDING_SECONDS_MAX: Final = 60.0
_CALLED_AFTER: Final = sql.SQL(
    "CREATE TRIGGER {function} AFTER INSERT OR UPDATE ON {}"
    " FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
)
_GONE: Final = sql.SQL("DROP FUNCTION {function} CASCADE")  # and with it the triggers


@contextmanager
def with_triggers(servers: Servers, function: str, body: LiteralString) -> Iterator[None]:
    """Define *function*, and call it after each statement that writes, until the block ends."""
    with owner(servers.database_url) as session:
        session.execute("SET deadlock_timeout = '1min'")  # the others give way: under load they win
        session.execute(body)
        try:
            for table in TABLES:
                _insist(
                    session,
                    _CALLED_AFTER.format(sql.Identifier(table), function=sql.Identifier(function)),
                )
            yield
        finally:
            _insist(session, _GONE.format(function=sql.Identifier(function)))


def _insist(session: psycopg.Connection, change: sql.Composed) -> None:
    """Change the schema although the tables are in use; after a deadlock, try again."""

    def done() -> bool:
        try:
            session.execute(change)
        except psycopg.errors.DeadlockDetected:
            return False
        return True

    eventually(done)


@contextmanager
def again_and_again(
    servers: Servers, act: Callable[[psycopg.Connection], object], *, every: float
) -> Iterator[None]:
    """*act* in a thread with a session of its own, until the block ends."""
    over = threading.Event()

    def run() -> None:
        with owner(servers.database_url) as session:
            while not over.wait(every):
                act(session)

    thread = threading.Thread(target=run, name="foreign-sessions")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(ENDING_SECONDS_MAX)


def cheap_login(servers: Servers, endings: ExitStack) -> str:
    """Make a role whose login is cheap; its address. It is gone when *endings* is done."""
    plain = make_url(servers.database_url).set(drivername="postgresql")
    with owner(servers.database_url) as session:
        session.execute("SET scram_iterations = 1")
        session.execute("DROP ROLE IF EXISTS filler")
        session.execute("CREATE ROLE filler SUPERUSER LOGIN PASSWORD 'filler'")

    def forgotten() -> bool:
        try:
            with owner(servers.database_url) as session:
                session.execute("DROP ROLE filler")
        except psycopg.OperationalError:  # not all of these sessions have ended yet
            return False
        return True

    endings.callback(lambda: eventually(forgotten))
    return plain.set(username="filler", password="filler").render_as_string(hide_password=False)


def fill(address: str, fillers: ExitStack) -> None:
    """Connect until there is no room."""
    for _ in range(CROWD_MAX):
        try:
            fillers.enter_context(psycopg.connect(address, autocommit=True, connect_timeout=5))
        except psycopg.OperationalError:
            return
    raise AssertionError(f"{CROWD_MAX} connections, and still room")
