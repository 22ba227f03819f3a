"""`slipway doctor` names the pooler and its mode, and knows how migrations get past it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import make_url

from tests.support import databases
from tests.support.closed_port import closed_port
from tests.support.command_line import CommandLine
from tests.support.pooler import needs_pgbouncer, pgbouncer

pytestmark = needs_pgbouncer
OPTIONS = "options"


@pytest.fixture
def slipway(monkeypatch, capsys, database) -> CommandLine:
    """A set-up whose Redis is unavailable, so that no test waits for workers to respond."""
    line = CommandLine(monkeypatch, capsys)
    line.export(
        database_url=database,
        redis_url=f"redis://127.0.0.1:{closed_port()}/0",
        secret_key=Fernet.generate_key().decode(),
    )
    return line


def found(slipway: CommandLine, part: str) -> list[tuple[str, str, str]]:
    """State, detail and remedy of the findings about *part*."""
    return [
        (finding["state"], finding["detail"], finding["remedy"] or "")
        for finding in slipway("doctor", "--json").document()["findings"]
        if finding["part"] == part
    ]


@contextmanager
def pooled(
    slipway: CommandLine,
    database: str,
    folder: Path,
    *,
    mode: str = "transaction",
    ignores: str = "",
    more: str = "",
) -> Iterator[None]:
    """Lead the set-up through a pooler."""
    with pgbouncer(database, folder, mode=mode, ignores=ignores, more=more) as url:
        slipway.export(database_url=url)
        yield


@pytest.mark.parametrize("ignores", ["", OPTIONS], ids=["options refused", "options ignored"])
def test_the_mode_is_seen_although_pgbouncer_does_not_tell_it(
    slipway, database, open_folder, ignores
):
    with pooled(slipway, database, open_folder, ignores=ignores, more="default_pool_size = 1"):
        (finding,) = found(slipway, "connection pooler")
        (session, *_) = [
            each for each in found(slipway, "PostgreSQL") if each[1].startswith("a session")
        ]

    assert finding[0] == "ok"
    assert finding[1].startswith("PgBouncer in transaction mode: each transaction sets its limits")
    assert "UTC, UTF8, statement_timeout 10s, lock_timeout 3s" in session[1]


def test_a_user_that_may_ask_pgbouncer_is_told_its_version(slipway, database, open_folder):
    user = make_url(database).username
    with pooled(slipway, database, open_folder, more=f"stats_users = {user}"):
        (finding,) = found(slipway, "connection pooler")

    assert finding[1].startswith("PgBouncer 1.")
    assert " in transaction mode" in finding[1]


@pytest.mark.parametrize("may_ask", [False, True], ids=["observed", "answered"])
def test_a_pooler_of_sessions_is_doubtful(slipway, database, open_folder, may_ask):
    more = f"stats_users = {make_url(database).username}" if may_ask else ""
    with pooled(slipway, database, open_folder, mode="session", ignores=OPTIONS, more=more):
        (finding,) = found(slipway, "connection pooler")

    assert finding[0] == "doubtful"
    assert "in session mode" in finding[1]
    assert "pool_mode = transaction" in finding[2]


def test_a_pooler_of_statements_is_wrong(slipway, database, open_folder):
    with pooled(slipway, database, open_folder, mode="statement", ignores=OPTIONS):
        (finding,) = found(slipway, "PostgreSQL")

    assert finding[0] == "wrong"
    assert "pools statements" in finding[1]
    assert "pool_mode = transaction" in finding[2]


def test_without_a_pooler_nothing_is_said_of_one(slipway):
    assert found(slipway, "connection pooler") == found(slipway, "migrations") == []


def test_migrations_need_an_address_past_the_pooler(slipway, database, open_folder):
    with pooled(slipway, database, open_folder):
        (missing,) = found(slipway, "migrations")
        slipway.export(migration_database_url=database)
        (given,) = found(slipway, "migrations")

    assert missing[0] == "doubtful"
    assert "SLIPWAY_MIGRATION_DATABASE_URL" in missing[2]
    assert given[0] == "ok"


def test_a_migration_address_that_is_pooled_as_well_is_wrong(slipway, database, open_folder):
    with pgbouncer(database, open_folder, mode="transaction") as url:
        slipway.export(migration_database_url=url)
        (finding,) = found(slipway, "migrations")

    assert finding[0] == "wrong"
    assert "it refuses the start-up parameter `options`" in finding[1]


def test_migrating_another_database_than_the_processes_use_is_wrong(
    slipway, servers, database_names
):
    other = next(database_names)
    slipway.export(migration_database_url=databases.create(servers.database_url, other))
    (finding,) = found(slipway, "migrations")
    databases.drop(servers.database_url, other)

    assert finding[0] == "wrong"
    assert "another database" in finding[1]


def test_a_migration_address_that_only_others_reach_is_doubtful(slipway, database):
    unreachable = make_url(database).set(port=closed_port())
    slipway.export(migration_database_url=unreachable.render_as_string(hide_password=False))
    (finding,) = found(slipway, "migrations")

    assert finding[0] == "doubtful"
    assert "cannot be reached from here" in finding[1]
    assert str(unreachable.password) not in "".join(finding)
