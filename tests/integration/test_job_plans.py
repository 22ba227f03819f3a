"""What a job's batch and its count cost with 40,000 dead notices: their share, by the indexes."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection, text

from models.database.engine import open_engine
from models.monitoring.stats import JOBS as JOBS_COUNTED
from models.platform.bounded_count import COUNT_MAX
from models.triage import Selection
from models.triage.matching_events import count_events, next_events, next_raw
from models.triage.matching_notices import (
    COUNT_EXAMINED_MAX,
    EXAMINED_MIN,
    count_dead,
    next_dead,
)
from models.vocabulary import Outcome
from tests.support import databases
from tests.support.harness import Harness
from tests.support.manual_clock import ManualClock
from tests.support.many_tickets import UNCHECKED
from tests.support.plans import plans_of

DEAD = 40_000
LIMIT = 100
FILLING_MAX = timedelta(minutes=2)
BIG = {"notice", "ticket", "ticket_event", "delivery_attempt", "rejected_input"}
CROWD = text(f"""
    WITH made AS (
        INSERT INTO ticket (operator, ticket_id, notices, unfinished)
        SELECT 1 + n % 2, 'C' || n, 1, 1 FROM generate_series(1, {2 * DEAD}) AS n
     RETURNING id, operator),
    notices AS (
        INSERT INTO notice (ticket, operator, number, action, generation, body, head, due_at, ended,
                            ended_at, reason, created_at)
        SELECT id, operator, 1, 'ticket_win', 1, '', false, now(),
               CASE WHEN id % 4 < 2 THEN 'dead' ELSE 'delivered' END,
               now() + id * interval '1 ms', '410', now()
          FROM made
     RETURNING id, operator)
    INSERT INTO delivery_attempt (notice, claim, operator, verdict, took_ms, http_status, answer,
                                  recorded_at)
    SELECT id, 1, operator, 'dead', 1, 410, 'gone', now() FROM notices""")  # noqa: S608 - numbers
EVENTS = text("""
    INSERT INTO ticket_event (ticket, event_id, action, data, order_time, received_at, outcome,
                              status_before, status_after, decided_at, park_until)
    SELECT id, 'c' || id, 'ticket_win', '{}', now(), now(), outcome, 'open', 'open',
           now() + id * interval '1 ms', CASE outcome WHEN 'parked' THEN now() END
      FROM ticket, LATERAL (
           SELECT (ARRAY['parked', 'rejected', 'applied', 'applied'])[1 + id % 4] AS outcome) e""")
RAW = text("""
    INSERT INTO rejected_input (entry_id, raw, whole, reason, message, received_at)
    SELECT n || '-0', '', true, 'not_json', '', now() FROM generate_series(1, 20000) AS n""")
ENDED_JOBS = text("""
    INSERT INTO job (kind, who, why, state, created_at, next_at, ended_at)
    SELECT 'k', 'ann', 'w', CASE n WHEN 1 THEN 'waiting' ELSE 'done' END, now(), now(),
           CASE WHEN n > 1 THEN now() END FROM generate_series(1, 20000) AS n""")
NOTHING = Selection(answer="never said", http_status=500, action="ticket_lost", ticket_id="none")


@pytest.fixture(scope="module")
def crowd(servers, template) -> Iterator[Harness]:
    url = databases.create(servers.database_url, "dead_crowd", template=template)
    harness = Harness(
        open_engine(url, application_name="tests", pool_size=1, statement_timeout=FILLING_MAX),
        ManualClock(),
    )
    harness.add_operator("sick")
    harness.add_operator()
    with harness.engine.begin() as connection:
        for statement in (UNCHECKED, CROWD, EVENTS, RAW):
            connection.execute(statement)
    with harness.engine.begin() as connection:
        connection.execute(text("ANALYZE"))
    yield harness
    harness.engine.dispose()
    databases.drop(servers.database_url, "dead_crowd")


@pytest.fixture
def connection(crowd: Harness) -> Iterator[Connection]:
    with crowd.engine.connect() as opened:
        yield opened
        opened.rollback()


@pytest.mark.parametrize(
    "selection", [Selection(), Selection(operator="acme"), NOTHING, Selection(http_status=410)]
)
def test_a_batch_examines_a_bounded_number_of_dead_notices(connection, selection):
    first = next_dead(connection, selection, after=None, limit=LIMIT)
    plans = plans_of(
        connection, lambda: next_dead(connection, selection, after=first.place, limit=LIMIT)
    )

    assert not first.last
    assert plans.whole_tables & BIG == set()
    assert "notice_dead" in plans.indexes
    assert plans.rows["notice"] <= 2 * (EXAMINED_MIN + 1), "one stretch for each of two operators"


def test_every_dead_notice_has_its_turn_once(connection):
    seen: list[int] = []
    place = None
    while True:
        stretch = next_dead(connection, Selection(operator="acme"), after=place, limit=2000)
        seen += stretch.notices
        place = stretch.place
        if stretch.last:
            break

    assert len(seen) == len(set(seen)) == DEAD / 2


@pytest.mark.parametrize("selection", [Selection(), NOTHING, Selection(answer="GONE")])
def test_a_count_is_bounded(connection, selection):
    plans = plans_of(connection, lambda: count_dead(connection, selection))
    count = count_dead(connection, selection)

    assert not count.exact
    assert count.number == (0 if selection is NOTHING else COUNT_MAX)
    assert plans.whole_tables & BIG == set()
    assert plans.rows["notice"] <= COUNT_EXAMINED_MAX + 1


def test_a_count_of_few_is_exact(connection):
    assert count_dead(connection, Selection(operator="nobody")) == (0, True)


@pytest.mark.parametrize("selection", [Selection(), Selection(ticket_id="none", action="x")])
def test_a_batch_of_events_examines_a_bounded_number(connection, selection):
    def read() -> None:
        place = None
        for _ in range(2):
            stretch = next_events(connection, Outcome.REJECTED, selection, after=place, limit=LIMIT)
            place = stretch.place
            next_raw(connection, selection, after=None, limit=LIMIT)

    plans = plans_of(connection, read)

    assert plans.whole_tables & BIG == set()
    assert {"ticket_event_listed", "rejected_input_listed"} <= plans.indexes
    assert plans.rows["ticket_event"] <= 2 * (EXAMINED_MIN + LIMIT)


def test_a_count_of_events_is_bounded(connection):
    plans = plans_of(connection, lambda: count_events(connection, Outcome.PARKED, Selection()))

    assert not count_events(connection, Outcome.PARKED, Selection()).exact
    assert plans.whole_tables & {"ticket_event", "rejected_input"} == set()
    assert plans.rows["ticket_event"] <= COUNT_EXAMINED_MAX + 1


def test_since_and_until_bound_what_is_read(connection):
    (start,) = connection.execute(text("SELECT min(ended_at) FROM notice")).one()
    second = Selection(since=start, until=start + timedelta(seconds=1))

    assert count_dead(connection, second).exact
    plans = plans_of(connection, lambda: count_dead(connection, second))
    assert plans.rows["notice"] <= 1100


def test_the_jobs_that_have_not_ended_are_counted_by_their_index(connection, clock):
    connection.execute(ENDED_JOBS)
    connection.execute(text("ANALYZE job"))
    parameters = {"now": clock.now(), "limit": 10_000}
    plans = plans_of(connection, lambda: connection.execute(JOBS_COUNTED, parameters))

    assert plans.indexes == {"job_next"}
    assert plans.rows["job"] == 1
