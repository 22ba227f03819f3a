"""A migration under load: it gives way, names the blocker, tries again, never runs twice."""

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from models.database.engine import open_engine
from models.migrations.lock_retry import LockRetryPolicy
from models.migrations.revisions import expected_revision
from models.migrations.runner import NotMigrated, upgrade
from tests.support.catalog import unfinished_indexes
from tests.support.command_line import CommandLine
from tests.support.concurrent_connections import beside, waiting_sessions
from tests.support.next_release import NEXT_REVISION, at_revision, migrate_further
from tests.support.open_transactions import REPORT, in_the_way, snapshot
from tests.support.wait import eventually

PID = text("SELECT pg_backend_pid()")
HURRIED = LockRetryPolicy(
    lock_timeout=timedelta(milliseconds=300), tries=2, pause_min=timedelta(milliseconds=50)
)
STEADY = replace(HURRIED, tries=200)
SHORT = replace(STEADY, lock_timeout=timedelta(milliseconds=50))


def test_it_lets_pass_who_came_after_it_then_tries_again_and_gets_through(database, engine):
    lines: list[str] = []
    with (
        in_the_way(engine) as report,
        beside(
            lambda: migrate_further(database, patience=STEADY, report=lines.append)
        ) as migrating,
    ):
        waiting_sessions(engine)
        with engine.begin() as latecomer:
            latecomer.execute(REPORT)  # returns when the migration has given way, not before
        assert not migrating.done(), "the report still holds its lock"
        report.rollback()
        migrating.result()

    assert at_revision(engine) == NEXT_REVISION
    assert [line.partition(":")[0] for line in lines[:2]] == [
        "9001 Which channel a ticket was sold through",
        "9001 gives way",
    ]
    assert lines[-1] == f"{NEXT_REVISION} done"


def test_after_its_last_try_it_says_who_held_the_lock(database, engine):
    with in_the_way(engine) as report:
        pid = report.execute(PID).scalar_one()
        with pytest.raises(NotMigrated) as refusal:
            migrate_further(database, patience=HURRIED)

    assert "revision 9001 Which channel" in str(refusal.value)
    assert f"held by process {pid} (tests of slipway at 127.0.0.1, idle in" in str(refusal.value)
    assert "within 300ms" in str(refusal.value)
    assert "in 2 tries" in str(refusal.value)
    assert at_revision(engine) == expected_revision(), "and nothing of it is there"


@pytest.mark.slow
def test_the_command_gives_way_after_three_seconds_and_ends_with_code_1(
    monkeypatch, capsys, empty_database
):
    slipway = CommandLine(monkeypatch, capsys)
    slipway.export(
        database_url=empty_database,
        redis_url="redis://127.0.0.1/0",
        secret_key=Fernet.generate_key().decode(),
    )
    engine = open_engine(empty_database, application_name="psql")
    with in_the_way(engine, text("CREATE TABLE alembic_version (version_num varchar(32))")):
        ended = slipway("migrate", "--tries", "1")
    engine.dispose()

    assert ended.code == 1
    assert ended.out.startswith("0001 The tables of the main road")
    assert "within 3s; it is held by process" in ended.err
    assert "(psql of slipway" in ended.err
    assert "Traceback" not in ended.err


def test_of_two_at_once_the_second_waits_and_finds_nothing_to_do(database, engine):
    """While the first builds an index, which waits for every older transaction: not for ours."""
    first_lines: list[str] = []
    second_lines: list[str] = []
    with (
        snapshot(engine) as old,
        beside(
            lambda: migrate_further(database, patience=SHORT, report=first_lines.append)
        ) as first,
    ):
        eventually(lambda: unfinished_indexes(engine))
        with beside(lambda: migrate_further(database, report=second_lines.append)) as second:
            eventually(lambda: second_lines)
            assert not first.done()
            old.rollback()
            first.result()
            second.result()

    assert "waiting for another migration: process" in second_lines[0]
    assert "slipway migrate" in second_lines[0]
    assert len(second_lines) == 1
    assert not [line for line in first_lines if line.startswith("0006 gives way")]
    assert at_revision(engine) == NEXT_REVISION


def test_one_that_waits_for_another_too_long_says_for_whom(database, engine):
    with (
        in_the_way(engine, text("SELECT pg_advisory_lock(7541130926)")),
        pytest.raises(NotMigrated, match=r"not ended for 2s: process \d+ \(tests of slipway"),
    ):
        upgrade(
            database, patience=LockRetryPolicy(turn_max=timedelta(seconds=2)), wait=lambda _: None
        )
