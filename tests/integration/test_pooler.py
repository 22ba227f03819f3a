"""Behind a real PgBouncer in transaction mode, where sessions are shared, with few of them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from urllib.parse import quote

import psycopg
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Connection, Engine, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError

from models.database.engine import open_engine
from models.database.errors import Blame, blame, is_transient
from models.database.pooler import is_pooled
from models.database.session import UnusableDatabase
from models.migrations.runner import upgrade
from tests.support import databases
from tests.support.closed_port import closed_port
from tests.support.command_line import CommandLine
from tests.support.harness import CLOSE_DELAY, Harness
from tests.support.pooler import (
    leave_settings_behind,
    needs_pgbouncer,
    pgbouncer,
    plain_address,
)
from tests.support.wait import eventually

pytestmark = needs_pgbouncer

SESSIONS = 2  # of the server, fewer than the connections of any test here
PREPARED_AFTER = 5  # executions, by psycopg's default
IGNORED = {"options refused": "", "options ignored": "options"}
OURS = {
    "statement_timeout": "10s",
    "lock_timeout": "3s",
    "idle_in_transaction_session_timeout": "15s",
    "transaction_isolation": "read committed",
    "synchronous_commit": "on",
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "search_path": '"$user", public',
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
# PgBouncer keeps these as each client has them.
TRACKED = {"TimeZone", "DateStyle", "standard_conforming_strings", "transaction_isolation"}
# What another client of the same user may leave in a session that it gives back.
STRANGE = {
    "statement_timeout": "1h",
    "lock_timeout": "1h",
    "idle_in_transaction_session_timeout": "1h",
    "default_transaction_isolation": "serializable",
    "synchronous_commit": "off",
    "IntervalStyle": "sql_standard",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "search_path": "odd",
    "enable_seqscan": "on",
    "jit": "on",
}


@pytest.fixture(params=IGNORED)
def pooled(request: pytest.FixtureRequest, database, open_folder) -> Iterator[str]:
    """The address of a pooler, before the test's own database."""
    ignores = IGNORED[request.param]
    with pgbouncer(
        database, open_folder, mode="transaction", ignores=ignores, pool_size=SESSIONS
    ) as url:
        yield url


@pytest.fixture
def through(pooled) -> Iterator[Engine]:
    """An engine behind the pooler."""
    engine = open_engine(pooled, application_name="slipway tests", pool_size=8)
    yield engine
    engine.dispose()


def shown(connection: Connection, *names: str) -> dict[str, str]:
    return {name: connection.execute(text(f"SHOW {name}")).scalar_one() for name in names}


def test_every_transaction_has_our_settings_whatever_others_left_there(pooled, through):
    with through.begin() as connection:
        assert is_pooled(connection)
    leave_settings_behind(pooled, STRANGE, sessions=SESSIONS)

    with through.begin() as first, through.begin() as second:
        assert [shown(each, *OURS) for each in (first, second)] == [OURS, OURS]


def test_values_are_read_as_they_are_written_whatever_others_left_in_some_sessions(pooled, through):
    """The driver believes the last report, which may be about another session."""
    values = text(
        "SELECT CAST(:text AS interval), CAST('2026-11-20 10:00Z' AS timestamptz),"
        " CAST('2026-11-20' AS date)"
    )
    expected = (
        timedelta(hours=24),
        datetime(2026, 11, 20, 10, tzinfo=UTC),
        date(2026, 11, 20),
    )
    styles = {"IntervalStyle": "sql_standard", "DateStyle": "German", "TimeZone": "Asia/Tokyo"}
    leave_settings_behind(pooled, styles, sessions=1)
    for _ in range(3):
        with through.begin() as first, through.begin() as second:  # each has another session
            for connection in (first, second):
                assert tuple(connection.execute(values, {"text": "24:00"}).one()) == expected


def test_no_setting_lock_or_statement_of_ours_stays_in_a_session(pooled, through):
    with through.begin() as connection:
        for _ in range(PREPARED_AFTER + 1):
            connection.execute(text("SELECT CAST(:number AS int)"), {"number": 1})
    with psycopg.connect(plain_address(pooled)) as other:
        of_ours = other.execute(
            "SELECT name FROM pg_settings WHERE source = 'session' AND lower(name) = ANY(%s)",
            [[name.lower() for name in OURS if name not in TRACKED]],
        ).fetchall()
        statements = other.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
        locks = other.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")

        assert (of_ours, statements, locks.fetchone()) == ([], (0,), (0,))


def test_many_connections_share_few_sessions(through):
    """Also those statements that psycopg would have prepared by then."""

    def work(number: int) -> set[int]:
        sessions = set()
        for _ in range(2 * PREPARED_AFTER):
            with through.begin() as connection:
                row = connection.execute(
                    text("SELECT pg_backend_pid(), CAST(:number AS int)"), {"number": number}
                ).one()
                assert row[1] == number
                sessions.add(row[0])
        return sessions

    with ThreadPoolExecutor(8) as threads:
        sessions = set[int]().union(*threads.map(work, range(16)))

    assert len(sessions) <= SESSIONS


def refusal(engine: Engine, statement: str) -> str | None:
    """The SQLSTATE with which it fails."""
    with pytest.raises(DBAPIError) as trouble, engine.begin() as connection:
        connection.execute(text(statement))
    assert isinstance(trouble.value.orig, psycopg.Error)
    assert blame(trouble.value) is Blame.SERVER
    return trouble.value.orig.sqlstate


@pytest.fixture
def impatient(pooled) -> Iterator[Engine]:
    """An engine behind the pooler that waits for nothing."""
    engine = open_engine(
        pooled,
        application_name="tests",
        statement_timeout=timedelta(seconds=1),
        lock_timeout=timedelta(milliseconds=50),
        idle_timeout=timedelta(seconds=2),  # a busy machine pauses for less between two statements
    )
    yield engine
    engine.dispose()


def test_the_limits_do_end_what_lasts_too_long(impatient, engine):
    with engine.begin() as other:
        other.execute(text("LOCK TABLE operator"))
        assert refusal(impatient, "SELECT FROM operator") == "55P03"
    assert refusal(impatient, "SELECT pg_sleep(10)") == "57014"


def test_a_frozen_process_loses_its_transaction_and_the_next_one_is_fine(impatient, database):
    def alive() -> int:
        with databases.owner(database) as person:
            sessions = person.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [pid])
            return sessions.rowcount

    with impatient.connect() as connection:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        eventually(lambda: not alive())
        with pytest.raises(DBAPIError) as trouble:
            connection.execute(text("SELECT 1"))
    assert is_transient(trouble.value)

    with impatient.begin() as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1


def test_a_transaction_that_only_reads_cannot_write(through):
    with through.connect() as connection:
        reading = connection.execution_options(postgresql_readonly=True)
        assert shown(reading, *OURS) == OURS
        with pytest.raises(DBAPIError, match="read-only transaction"):
            reading.execute(text("DELETE FROM operator"))
    with through.begin() as connection:
        assert shown(connection, "transaction_read_only") == {"transaction_read_only": "off"}


def test_the_search_path_of_the_url_is_that_of_each_transaction(pooled):
    engine = open_engine(
        f"{pooled}?options=-c%20search_path%3Dodd,public", application_name="tests", pool_size=1
    )
    leave_settings_behind(pooled, STRANGE, sessions=SESSIONS)
    with engine.begin() as connection:
        assert shown(connection, "search_path") == {"search_path": "odd,public"}
    engine.dispose()


def test_tickets_live_as_ever(through, clock):
    harness = Harness(through, clock)
    harness.add_operator()
    for number in range(PREPARED_AFTER + 1):
        harness.say("ticket_win", f"T{number}", player_id="Łukasz_😀")
    notices = {(f"T{number}", "ticket_win") for number in range(PREPARED_AFTER + 1)}
    assert set(harness.deliver()) == notices
    harness.wait(CLOSE_DELAY)

    assert harness.close_due() == PREPARED_AFTER + 1


def test_a_session_that_ends_costs_its_transaction_and_no_other(through, database):
    for _ in range(3):
        with through.connect() as connection:
            pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            with databases.owner(database) as person:
                person.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
            with pytest.raises(OperationalError) as trouble:
                connection.execute(text("SELECT 1"))
        assert blame(trouble.value) is Blame.SERVER
        with through.begin() as connection:
            assert shown(connection, *OURS) == OURS


def test_a_pooler_of_sessions_works_too(database, open_folder):
    with pgbouncer(database, open_folder, mode="session", ignores="options") as url:
        engine = open_engine(url, application_name="tests", pool_size=1)
        with engine.begin() as connection:
            assert shown(connection, *OURS) == OURS
        engine.dispose()


def test_a_pooler_of_statements_is_refused(database, open_folder):
    with pgbouncer(database, open_folder, mode="statement", ignores="options") as url:
        engine = open_engine(url, application_name="tests", pool_size=1)
        with pytest.raises(OperationalError, match="pool_mode = transaction") as refused:
            engine.connect()
        engine.dispose()
    assert isinstance(refused.value.orig, UnusableDatabase)


def test_a_migration_is_refused_and_leaves_nothing_behind(pooled, empty_database):
    before = make_url(pooled).set(database=make_url(empty_database).database)
    url = before.render_as_string(hide_password=False)
    with pytest.raises(OperationalError, match="SLIPWAY_MIGRATION_DATABASE_URL") as refused:
        upgrade(url)

    assert isinstance(refused.value.orig, UnusableDatabase)
    assert databases.ask(
        empty_database, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    ) == (0,)
    with psycopg.connect(plain_address(url)) as other:
        assert other.execute("SHOW client_connection_check_interval").fetchone() == ("0",)
        assert other.execute("SHOW lock_timeout").fetchone() == ("0",)


@pytest.fixture
def slipway(monkeypatch, capsys, pooled) -> CommandLine:
    """A set-up behind the pooler whose Redis is unavailable."""
    line = CommandLine(monkeypatch, capsys)
    line.export(
        database_url=pooled,
        redis_url=f"redis://127.0.0.1:{closed_port()}/0",
        secret_key=Fernet.generate_key().decode(),
    )
    return line


def test_migrate_says_what_to_set_and_then_passes_the_pooler_by(slipway, database):
    refused = slipway("migrate")
    slipway.export(migration_database_url=database)
    done = slipway("migrate")

    assert refused.code == 2
    assert "Set SLIPWAY_MIGRATION_DATABASE_URL" in refused.err
    assert (done.code, "up to date" in done.out) == (0, True)


def test_of_several_hosts_a_pooler_that_leads_to_the_primary_is_used(pooled):
    """PgBouncer reports of no session whether it is the primary's, so the driver asks."""
    there = make_url(pooled)
    login = f"{there.username}:{quote(there.password or '')}"
    hosts = f"127.0.0.1:1,{there.host}:{there.port}"
    engine = open_engine(f"postgresql://{login}@{hosts}/{there.database}", application_name="tests")

    with engine.begin() as connection:
        zone = connection.execute(text("SHOW timezone")).scalar_one()
        through_pooler = is_pooled(connection)
    engine.dispose()

    assert (zone, through_pooler) == ("UTC", True)
