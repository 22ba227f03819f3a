"""What the console's plots show: attempts by the minute, and the closings ahead."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from models.monitoring import closings as closings_module
from models.monitoring.closings import STEP, STEPS, ClosingsAhead, closings_ahead, count_closings
from models.monitoring.minutes import (
    CATCH_UP_MAX,
    KEPT_FOR,
    MINUTE,
    SETTLED_AFTER,
    PartnerPlot,
    partner_plot,
    store_next_minute,
)
from models.operators.listing import OperatorNotFound
from models.outbox.values import Attempt, Delivered, RetryLater, Unanswered
from tests.support.harness import CLOSE_DELAY
from tests.support.manual_clock import ManualClock
from tests.support.plans import plans_of

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
AGAIN = RetryLater(timedelta(days=1))
ROWS = text("SELECT * FROM partner_minute ORDER BY operator, minute")
MANY_ATTEMPTS = text("""
    WITH made AS (
        INSERT INTO ticket (operator, ticket_id, status, result, generation, notices, unfinished,
                            close_due_at)
        SELECT 1, 'M' || n, 'resulted', 'won', 1, 1, 0,
               CAST(:now AS timestamptz) + n * interval '3 s'
          FROM generate_series(1, 20000) AS n RETURNING id),
    sent AS (
        INSERT INTO notice (ticket, operator, number, action, generation, body, head, due_at,
                            created_at, claims, ended, ended_at, took_ms, http_status)
        SELECT id, 1, 1, 'ticket_win', 1, '{}', false, :now, :now, 1, 'delivered',
               CAST(:now AS timestamptz) + (id % 600) * interval '1 s',
               CASE WHEN id % 2 = 0 THEN id % 500 END, 200
          FROM made
     RETURNING id, took_ms)
    INSERT INTO delivery_attempt (notice, claim, operator, verdict, took_ms, http_status,
                                  recorded_at)
    SELECT id, 1, 1, 'delivered', id % 500, 200,
           CAST(:now AS timestamptz) + (id % 600) * interval '1 s'
      FROM sent WHERE took_ms IS NULL""")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def store(harness, engine):
    """Store the minutes that are complete; return how many."""

    def store() -> int:
        count = 0
        while True:
            with engine.begin() as connection:
                if not store_next_minute(connection, now=harness.now):
                    return count
            count += 1

    return store


@pytest.fixture
def plot(harness, engine):
    def plot(
        *,
        since: datetime = NOON,
        until: datetime | None = None,
        operator: str = "acme",
        points_max: int = 300,
    ) -> PartnerPlot:
        with engine.begin() as connection:
            end = until or harness.now
            return partner_plot(connection, operator, since=since, until=end, points_max=points_max)

    return plot


def tried(harness, verdict, took: timedelta, *, ticket: str, http_status: int | None = 200) -> None:
    harness.say("ticket_win", ticket)
    claim = harness.claim_one()
    harness.record_attempts(Attempt(claim, verdict, took, http_status=http_status))


@pytest.fixture
def busy_minute(harness, store):
    """The minute of noon: three attempts of acme, one of betsy."""
    harness.wait(SETTLED_AFTER)
    store()
    harness.add_operator("betsy")
    tried(harness, Delivered(), timedelta(milliseconds=100), ticket="A")
    tried(harness, AGAIN, timedelta(milliseconds=300), ticket="B", http_status=503)
    tried(harness, Unanswered(AGAIN.pause), timedelta(seconds=5), ticket="C", http_status=None)
    harness.say("ticket_win", "T", operator="betsy")
    harness.deliver()


# --- attempts by the minute ----------------------------------------------------------------------


@pytest.mark.usefixtures("busy_minute")
def test_a_minute_is_stored_once_it_is_complete_and_settled(harness, store, plot):
    harness.wait(MINUTE - SECOND)
    assert (store(), plot().points) == (0, ())
    harness.wait(SECOND)
    assert store() == 1

    (point,) = plot().points
    assert (point.at, point.delivered, point.failed) == (NOON, 1, 2)
    assert (point.p50_ms, point.p99_ms, point.max_ms) == (300, 5000, 5000)
    (other,) = plot(operator="betsy").points
    assert (other.delivered, other.failed) == (1, 0)


@pytest.mark.usefixtures("busy_minute")
def test_a_minute_without_attempts_is_zero_and_not_missing(harness, store, plot):
    harness.wait(3 * MINUTE)
    assert store() == 3

    assert [(point.delivered, point.failed, point.p50_ms) for point in plot().points] == [
        (1, 2, 300),
        (0, 0, None),
        (0, 0, None),
    ]


@pytest.mark.usefixtures("busy_minute")
def test_minutes_before_the_first_that_was_stored_are_unknown(harness, store, plot):
    harness.wait(MINUTE)
    store()

    points = plot(since=NOON - 3 * MINUTE).points
    assert [point.delivered for point in points] == [None, None, 0, 1]


@pytest.mark.usefixtures("busy_minute")
def test_a_minute_that_is_stored_again_is_the_same(harness, store, engine):
    harness.wait(MINUTE)
    store()
    with engine.begin() as connection:
        before = connection.execute(ROWS).all()
        connection.execute(text("UPDATE plot_progress SET minutes_until = :noon"), {"noon": NOON})
    assert store() == 1

    with engine.begin() as connection:
        assert connection.execute(ROWS).all() == before
    assert len(before) == 2


@pytest.mark.usefixtures("busy_minute")
def test_two_sweeps_at_once_store_it_once(harness, store, engine):
    """The second one finds the row taken; if the first dies, the minute is stored by the next."""
    harness.wait(MINUTE)
    with engine.connect() as first:
        assert store_next_minute(first, now=harness.now) == 1
        assert store() == 0
        first.rollback()
    assert store() == 1


@pytest.mark.usefixtures("busy_minute")
def test_after_a_pause_the_minutes_in_between_are_caught_up_with(harness, store, plot):
    harness.wait(timedelta(minutes=30))
    assert store() == 30
    assert plot().points[0].delivered == 1


@pytest.mark.usefixtures("busy_minute")
def test_a_pause_that_was_too_long_leaves_a_gap_that_shows(harness, store, plot):
    harness.wait(CATCH_UP_MAX + 2 * MINUTE)
    assert store() == CATCH_UP_MAX / MINUTE

    points = plot(points_max=1000).points
    assert [point.delivered for point in points[:4]] == [None, None, 0, 0]


@pytest.mark.usefixtures("busy_minute")
def test_a_minute_is_removed_after_two_days(harness, store, engine):
    harness.wait(MINUTE)
    store()
    harness.wait(KEPT_FOR + 2 * MINUTE)
    store()

    with engine.begin() as connection:
        assert connection.execute(ROWS).all() == []


@pytest.mark.usefixtures("busy_minute")
def test_a_long_range_has_few_points_whose_numbers_add_up(harness, store, plot):
    harness.wait(9 * MINUTE)
    tried(harness, Delivered(), timedelta(milliseconds=900), ticket="D")
    harness.wait(11 * MINUTE)
    store()

    wide = plot(points_max=4)
    assert (wide.step, wide.since) == (timedelta(minutes=10), NOON)
    assert [(point.delivered, point.failed) for point in wide.points] == [(2, 2), (0, 0)]
    assert (wide.points[0].p99_ms, wide.points[0].max_ms) == (5000, 5000)
    assert plot(points_max=30).step == MINUTE


def test_two_days_are_the_longest_range(harness, plot):
    long = plot(since=NOON - timedelta(days=400), until=NOON)

    assert long.since >= NOON - KEPT_FOR - long.step
    assert KEPT_FOR / long.step < 300


def test_an_unknown_operator_is_named(plot):
    with pytest.raises(OperatorNotFound, match="did you mean 'acme'"):
        plot(operator="acne")


# --- the closings ahead --------------------------------------------------------------------------


@pytest.fixture
def count(harness, engine):
    def count(monotonic: Callable[[], float] = time.monotonic) -> bool:
        with engine.begin() as connection:
            return count_closings(connection, now=harness.now, monotonic=monotonic)

    return count


@pytest.fixture
def ahead(engine):
    def ahead() -> ClosingsAhead | None:
        with engine.begin() as connection:
            return closings_ahead(connection)

    return ahead


def test_the_closings_ahead_are_counted_in_steps(harness, count, ahead):
    assert ahead() is None
    harness.say("ticket_win", "A")
    harness.say("ticket_win", "B")
    harness.deliver()
    harness.wait(STEP)
    harness.say("ticket_win", "C")
    harness.deliver()
    harness.say("ticket_lost", "C")  # parked: it does not close before that is decided
    harness.wait(CLOSE_DELAY - 2 * STEP)

    assert count()
    forecast = ahead()
    assert forecast is not None
    assert (forecast.counted_at, forecast.since) == (harness.now, harness.now)
    assert (len(forecast.closings), forecast.step) == (STEPS, STEP)
    assert forecast.closings[:3] == (0, 2, 0)


def test_they_are_counted_once_a_minute_at_most(harness, count):
    assert count()
    harness.wait(MINUTE - SECOND)
    assert not count()
    harness.wait(SECOND)
    assert count()


def test_a_count_that_took_long_is_repeated_more_rarely(harness, count):
    moments = iter((0.0, 4.0))
    assert count(monotonic=lambda: next(moments))
    harness.wait(4 * MINUTE - SECOND)
    assert not count()
    harness.wait(SECOND)
    assert count()


def test_a_count_that_takes_too_long_is_given_up_and_unknown(
    harness, count, ahead, engine, monkeypatch
):
    count()
    assert ahead() is not None
    monkeypatch.setattr(closings_module, "COUNT", text("SELECT pg_sleep(60)"))
    monkeypatch.setattr(closings_module, "STATEMENT_MAX", timedelta(milliseconds=20))
    harness.wait(MINUTE)

    assert count()
    assert ahead() is None


def test_more_than_can_be_counted_leaves_out_the_last_steps(harness, count, ahead, monkeypatch):
    monkeypatch.setattr(closings_module, "COUNTED_MAX", 3)
    for ticket in ("A", "B"):
        harness.say("ticket_win", ticket)
    harness.deliver()
    harness.wait(STEP)
    for ticket in ("C", "D"):
        harness.say("ticket_win", ticket)
    harness.deliver()
    harness.wait(CLOSE_DELAY - 2 * STEP)
    count()

    forecast = ahead()
    assert forecast is not None
    assert forecast.closings == (0, 2)


# --- costs ---------------------------------------------------------------------------------------


def test_both_read_their_indexes_and_no_whole_table(harness, engine):
    with engine.begin() as connection:
        connection.execute(MANY_ATTEMPTS, {"now": NOON})
        connection.execute(text("ANALYZE"))
    with engine.begin() as connection:
        store_next_minute(connection, now=NOON)
    harness.wait(2 * MINUTE + SETTLED_AFTER)
    with engine.begin() as connection:
        plans = plans_of(connection, lambda: store_next_minute(connection, now=harness.now))
        assert {"delivery_attempt_recent", "notice_taken"} <= plans.indexes
        assert plans.rows["delivery_attempt"] <= 10_000 / 10 + 100
        assert plans.rows["notice"] <= 10_000 / 10 + 100
        assert not {"delivery_attempt", "notice", "ticket"} & plans.whole_tables
        assert store_next_minute(connection, now=harness.now) == 1

        read = plans_of(
            connection,
            lambda: partner_plot(connection, "acme", since=NOON - KEPT_FOR, until=harness.now),
        )
        assert "partner_minute_pkey" in read.indexes

        counted = plans_of(connection, lambda: count_closings(connection, now=harness.now))
        assert "ticket_close_due" in counted.indexes
        assert "ticket" not in counted.whole_tables


def test_the_closings_are_counted_without_a_look_at_the_tickets(harness, engine):
    """An index-only scan: once the table is vacuumed, no row is read."""
    with engine.begin() as connection:
        connection.execute(MANY_ATTEMPTS, {"now": NOON})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE ticket"))
    with engine.begin() as connection:
        since = {"since": NOON, "until": NOON + STEPS * STEP, "step": STEP, "counted_max": 10**6}
        lines = connection.execute(
            text(f"EXPLAIN (ANALYZE, TIMING OFF) {closings_module.COUNT}"), since
        ).scalars()
        plan = "\n".join(lines)

    assert "Index Only Scan using ticket_close_due" in plan
    assert "Heap Fetches: 0" in plan
