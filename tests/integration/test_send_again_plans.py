"""Sending again costs what is sent again, however many tickets and attempts there are (rule 22)."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection, Engine, text

from models.outbox.send_again import send_tickets_again
from models.outbox.taken_between import (
    AttemptPlace,
    TimeWindow,
    attempts_behind,
    count_taken,
    first_taken,
)
from tests.support.harness import Harness
from tests.support.manual_clock import ManualClock
from tests.support.many_tickets import UNCHECKED
from tests.support.plans import Plans, plans_of

TICKETS = 20_000
BATCH = 100
BY_TIME = {"delivery_attempt_recent", "notice_taken"}
FILL = (
    f"""
    INSERT INTO ticket (operator, ticket_id, status, result, generation, notices)
    SELECT 1, 'T' || n, 'resulted', 'won', 1, 2 FROM generate_series(1, {TICKETS}) AS n""",  # noqa: S608 - a number
    """
    INSERT INTO notice (ticket, operator, number, action, generation, body, head, due_at, ended,
                        ended_at, created_at, claims, took_ms)
    SELECT t.id, 1, k, CASE k WHEN 1 THEN 'ticket_update' ELSE 'ticket_win' END, 1, '{}', false,
           CAST(:now AS timestamptz), 'delivered',
           CAST(:now AS timestamptz) + (2 * t.id + k) * interval '1 second', :now, 1,
           CASE WHEN t.id % 2 = 0 THEN 20 END
      FROM ticket t, generate_series(1, 2) AS k""",
    """
    INSERT INTO delivery_attempt (notice, claim, operator, verdict, took_ms, recorded_at)
    SELECT n.id, 1, 1, 'delivered', 20,
           n.ended_at FROM notice n WHERE n.took_ms IS NULL""",
    """
    INSERT INTO intervention (who, why, did, ticket, facts)
    SELECT 'anna', 'before', 'notices_sent_again', t.id, '{"job": 7}'
      FROM ticket t WHERE t.id % 10 = 0""",
    "ANALYZE",
)


@pytest.fixture(scope="module")
def many(shared_engine: Engine) -> Harness:
    """What a test changes here is undone."""
    harness = Harness(shared_engine, ManualClock())
    harness.add_operator()
    with shared_engine.begin() as connection:
        connection.execute(UNCHECKED)
        for statement in FILL:
            connection.execute(text(statement), {"now": harness.now})
    return harness


def window(harness: Harness) -> TimeWindow:
    """The time in which 300 attempts were recorded."""
    since = harness.now + timedelta(seconds=1000)
    return TimeWindow(1, since, since + timedelta(seconds=300))


def plans(harness: Harness, connection: Connection, what: str) -> Plans:
    """Explain one of the acts."""
    taken = window(harness)
    first = connection.execute(text("SELECT min(id) FROM ticket")).scalar_one()
    tickets = range(first, first + BATCH)
    actions = {
        "send": lambda: send_tickets_again(connection, dict.fromkeys(tickets, 1), now=harness.now),
        "read": lambda: attempts_behind(connection, taken, AttemptPlace(taken.since), job=7),
        "firsts": lambda: first_taken(connection, taken, tickets),
        "count": lambda: count_taken(connection, taken),
    }
    return plans_of(connection, actions[what])


@pytest.mark.parametrize(
    ("what", "indexes", "rows_max"),
    [
        ("send", {"ticket_pkey", "notice_identity", "notice_pkey"}, 2000),
        (
            "read",
            BY_TIME | {"notice_pkey", "intervention_ticket"},
            500,
        ),
        ("firsts", {"notice_identity", "delivery_attempt_pkey", "notice_pkey"}, 1000),
        ("count", BY_TIME | {"notice_pkey"}, 500),
    ],
)
def test_no_table_is_read_as_a_whole(many: Harness, what: str, indexes: set[str], rows_max: int):
    with many.engine.connect() as connection:
        planned = plans(many, connection, what)
        connection.rollback()
    many.engine.dispose()  # the next test has a session of its own

    big = {"ticket", "notice", "delivery_attempt", "intervention"}
    assert indexes <= planned.indexes
    assert planned.whole_tables & big == set()
    assert max(planned.rows[table] for table in big & planned.rows.keys()) <= rows_max
