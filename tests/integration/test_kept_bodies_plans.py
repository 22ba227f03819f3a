"""A batch of removed bodies costs what it handles, however many tickets ended or still wait."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, text

from models.sweeps.bodies import remove_bodies
from tests.support import databases
from tests.support.many_tickets import UNCHECKED
from tests.support.plans import plans_of, touched_by
from worker.local.servers import Servers

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
BATCH = 50
EACH = 2  # notices of a ticket, and attempts of a notice
BIG = {"ticket", "notice", "delivery_attempt"}
ADD_OPERATORS = text("""
    INSERT INTO operator (code, protocol, url, secret, keep_bodies)
    SELECT code, 'pam', 'https://partner.example/', 'sealed', CAST(keep AS interval)
      FROM (VALUES ('keeps', NULL), ('month', '720 hours'), ('week', '168 hours')) AS o(code, keep)
     ORDER BY 1""")
# Of each partner as many are overdue as are young; every fourth that is overdue is needed.
TICKETS = text("""
    INSERT INTO ticket (operator, ticket_id, status, result, generation, notices, unfinished,
                        closed_at, cancelled_at)
    SELECT o.id, 'T' || n, CASE n % 3 WHEN 0 THEN 'cancelled' ELSE 'closed' END,
           CASE n % 3 WHEN 0 THEN 'pending' ELSE 'won' END, 1, 2,
           CASE WHEN n % 4 = 1 THEN 1 ELSE 0 END,
           CASE WHEN n % 3 > 0 THEN at END, CASE n % 3 WHEN 0 THEN at END
      FROM generate_series(1, 4000) AS n, operator o,
           LATERAL (SELECT CAST(:now AS timestamptz) - n * interval '1 second'
                           - CASE n % 2 WHEN 0 THEN interval '40 days' ELSE interval '0' END) a(at)
     WHERE n % 4 <> 1 OR n % 8 = 1""")
NOTICES = text("""
    INSERT INTO notice (ticket, operator, number, action, generation, body, head, due_at, ended,
                        ended_at, created_at)
    SELECT t.id, t.operator, k, 'ticket_update', k, '{}', false, :now, 'delivered', :now, :now
      FROM ticket t, generate_series(1, 2) AS k""")
ATTEMPTS = text("""
    INSERT INTO delivery_attempt (notice, claim, operator, verdict, took_ms, answer, recorded_at)
    SELECT id, k, operator, 'delivered', 5, 'taken', :now
      FROM notice, generate_series(1, 2) AS k""")
NEED_ALL = text("""
    UPDATE ticket SET unfinished = 1 WHERE closed_at < :before OR cancelled_at < :before""")


@pytest.fixture(scope="module")
def crowd(shared_engine: Engine) -> str:
    """The name of a database with many tickets, which is as it was filled."""
    with shared_engine.begin() as connection:
        for statement in (UNCHECKED, ADD_OPERATORS, TICKETS, NOTICES, ATTEMPTS):
            connection.execute(statement, {"now": NOW} if ":now" in str(statement) else {})
    return databases.template_of(shared_engine)


@pytest.fixture
def database(servers: Servers, crowd: str, database_names: Iterator[str]) -> Iterator[str]:
    """A copy of it, for each test."""
    with databases.copied(servers.database_url, next(database_names), template=crowd) as copy:
        yield copy


@pytest.fixture(params=["never analysed", "analysed"])
def crowded(request, engine: Engine) -> Iterator[Connection]:
    """A transaction that is undone."""
    with engine.connect() as opened:
        if request.param == "analysed":
            opened.execute(text("ANALYZE"))
        yield opened
        opened.rollback()


def remove(connection: Connection, now: datetime = NOW) -> int:
    return remove_bodies(connection, now=now, limit=BATCH)


def test_a_batch_takes_the_indexes_made_for_it(crowded):
    plans = plans_of(crowded, lambda: remove(crowded))

    assert {"ticket_with_bodies", "notice_identity", "delivery_attempt_pkey"} <= plans.indexes
    assert not BIG & plans.whole_tables


def test_a_batch_reads_what_it_handles(crowded):
    read = touched_by(crowded, lambda: remove(crowded))

    assert {name: read.one_by_one[name] for name in BIG} == dict.fromkeys(BIG, 0)
    assert read.by_index["ticket"] <= 4 * BATCH  # find, lock, mark
    assert read.by_index["notice"] <= 5 * EACH * BATCH
    assert read.by_index["delivery_attempt"] <= 4 * EACH * EACH * BATCH


def test_what_is_needed_is_read_once_a_day_however_many_there_are(crowded):
    """A backlog that cannot be emptied costs no later batch anything."""
    crowded.execute(NEED_ALL, {"before": NOW - timedelta(days=7)})
    backlog = 0
    while (read := touched_by(crowded, lambda: remove(crowded))).by_index["ticket"]:
        assert read.by_index["ticket"] <= 4 * BATCH
        backlog += 1

    assert backlog >= 20
    after = touched_by(crowded, lambda: remove(crowded, NOW + timedelta(hours=23)))
    assert after.by_index["ticket"] == 0
    again = touched_by(crowded, lambda: remove(crowded, NOW + timedelta(hours=25)))
    assert 0 < again.by_index["ticket"] <= 4 * BATCH
