"""The next release's schema comes while this release works: old code on the new schema.

The revisions are those of `tests/samples/next_release`, which keep the rules for revisions.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from models.database.engine import LOCK_TIMEOUT, open_engine
from models.migrations.revisions import expected_revision
from tests.faults.reconciliation import asking, compare_records, unfinished
from tests.support import databases
from tests.support.catalog import catalog, unfinished_indexes
from tests.support.concurrent_connections import beside, waiting_sessions
from tests.support.next_release import NEXT_REVISION, at_revision, migrate_further, migration
from tests.support.open_transactions import REPORT, in_the_way, snapshot
from tests.support.running_stack import CLOSE_DELAY, RunningStack, running_stack
from tests.support.server_folders import passable_folder
from tests.support.wait import eventually

LIVES_PER_SECOND = 20
SLACK = timedelta(seconds=30)  # for what piled up behind the lock, on a machine that is busy
MIGRATING = text("""
    SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'slipway migrate%'""")


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with passable_folder() as folder, running_stack(folder) as running:
        yield running


@pytest.mark.slow
def test_processes_that_were_there_before_the_schema_wait_for_it_and_work(stack):
    """The entry that was on the stream before there was a table to keep it in is kept."""

    def kept() -> bool:
        stack.must_live()
        return databases.ask(
            stack.servers.database_url, "SELECT count(*) = 1 FROM rejected_input"
        ) == (True,)

    eventually(kept)


@pytest.mark.slow
def test_the_next_release_s_schema_comes_under_load_and_the_books_balance(stack):
    """A report blocks it for longer than it may block the other sessions."""
    url = stack.servers.database_url
    reports: list[str] = []
    with stack.load(lives_per_second=LIVES_PER_SECOND):
        eventually(lambda: databases.ask(url, "SELECT count(*) > 50 FROM ticket") == (True,))
        with asking(url) as report:
            report.execute(REPORT)
            with beside(lambda: migrate_further(url, report=reports.append)) as migrating:
                eventually(lambda: [line for line in reports if line.startswith("9001 gives way")])
                report.rollback()
                migrating.result()
        (migrated,) = databases.ask(url, "SELECT max(id) FROM ticket")
        # The old code goes on making tickets in the new table.
        eventually(lambda: databases.ask(url, "SELECT max(id) FROM ticket") > (migrated,))
    eventually(lambda: drained(stack))
    codes = stack.stop()

    records = compare_records(
        stack.servers, stack.published, stack.partner.ledger.entries(), close_delay=CLOSE_DELAY
    )
    assert records.balanced, (*records.verdict.violations, *records.reconciliation.discrepancies)
    assert set(records.outcomes) <= {"applied", "confirmed", "superseded"}
    assert reports[-1] == f"{NEXT_REVISION} done"
    assert set(codes.values()) == {0}
    assert [process.wrote() for process in stack.running if "Traceback" in process.wrote()] == []
    longest, filled = databases.ask(
        url,
        "SELECT (SELECT max(decided_at - received_at) FROM ticket_event),"
        " count(*) FILTER (WHERE channel = 'web') = count(*) FROM ticket",
    )
    assert longest < LOCK_TIMEOUT + SLACK
    assert filled


def drained(stack: RunningStack) -> bool:
    stack.must_live()
    left = unfinished(stack.servers)
    assert not left, (left, *(process.wrote() for process in stack.running))
    return True


@pytest.mark.slow
def test_killed_while_it_waits_or_builds_the_next_one_goes_on_where_it_ended(
    database, engine, empty_database, tmp_path
):
    log = tmp_path / "migration.log"
    with in_the_way(engine), migration(database, log=log) as first:
        waiting_sessions(engine)
        first.kill()
        eventually(lambda: nobody_migrates(engine))
        assert at_revision(engine) == expected_revision()
    with snapshot(engine), migration(database, log=log) as second:
        eventually(lambda: unfinished_indexes(engine) and waiting_sessions(engine))
        second.kill()
        eventually(lambda: nobody_migrates(engine))
        assert at_revision(engine) == "9004"
        assert unfinished_indexes(engine) == ["ticket_event_received"]

    reports: list[str] = []
    migrate_further(database, report=reports.append)

    assert reports[0].startswith("9005 Indexes")
    assert unfinished_indexes(engine) == []
    migrate_further(empty_database)
    with closing_engine(empty_database) as undisturbed:
        assert catalog(engine) == catalog(undisturbed)


@contextmanager
def closing_engine(url: str) -> Iterator[Engine]:
    """An engine on another database."""
    opened = open_engine(url, application_name="tests")
    yield opened
    opened.dispose()


def nobody_migrates(engine: Engine) -> bool:
    """Of a killed process, no session is left that would hold locks or its turn."""
    with engine.begin() as connection:
        return not connection.execute(MIGRATING).scalars().all()
