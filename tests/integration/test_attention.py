"""What needs a person: each figure with its limit, its oldest, and its own failure."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count

import pytest
from sqlalchemy import Connection, Engine, text

from models.monitoring.attention import COUNT_MAX, Attention, Need, what_needs_a_person
from models.sweeps.heartbeat import Round, store_round
from tests.support.harness import SLIP, Harness
from tests.support.manual_clock import ManualClock
from tests.support.many_tickets import gather
from tests.support.plans import plans_of

LATE = timedelta(seconds=33)
HOUR = timedelta(hours=1)
DEAD = text("""
    UPDATE notice SET ended = 'dead', ended_at = CAST(:now AS timestamptz) - interval '2 hours'
     WHERE head""")
OPEN = text("""
    INSERT INTO circuit (operator, opened_at, reason, probe_at)
    SELECT id, CAST(:now AS timestamptz) - interval '1 hour', 'answered 500', :now FROM operator
        ON CONFLICT (operator) DO UPDATE
       SET opened_at = excluded.opened_at, reason = excluded.reason, probe_at = excluded.probe_at,
           closed_at = NULL""")
CLOSES_LATE = text("""
    UPDATE ticket SET close_due_at = CAST(:now AS timestamptz) - interval '10 minutes'""")
HELD = text("UPDATE ticket SET on_hold_at = CAST(:now AS timestamptz) - interval '4 days'")
JOBS = text("""
    INSERT INTO job (kind, arguments, who, why, state, expected, created_at, next_at, ended_at)
    SELECT 'x', '{}', 'anna', 'y', state, 1, now, now - interval '10 minutes', now - ended
      FROM (SELECT CAST(:now AS timestamptz)) AS given(now),
           (VALUES ('running', NULL), ('failed', interval '1 hour'), ('failed', interval '9 days'),
                   ('done', interval '1 hour')) AS jobs(state, ended)""")
REJECTED = text("""
    INSERT INTO rejected_input (entry_id, raw, whole, reason, message, received_at, rejected_at)
    SELECT n || '-0', '', true, 'not_json', '', :now, CAST(:now AS timestamptz) - interval '1 day'
      FROM generate_series(1, :many) AS n""")
MANY_EVENTS = text("""
    INSERT INTO ticket_event (ticket, event_id, action, order_time, received_at, outcome, reason,
                              status_before, status_after, decided_at)
    SELECT id, 'm' || id || k, 'ticket_lost', :now, :now, k, 'older_same', 'open', 'open', :now
      FROM ticket, unnest(ARRAY['rejected', 'superseded', 'applied']) AS k""")
BIG = {"ticket", "ticket_event", "notice", "rejected_input"}


@pytest.fixture
def harness(engine: Engine) -> Harness:
    """A partner with one ticket that waits for its closing, and a sweep that runs."""
    harness = Harness(engine, ManualClock())
    harness.add_operator()
    harness.say("ticket_open", "Q", **SLIP)
    harness.say("ticket_win", "Q")
    with engine.begin() as connection:
        store_round(connection, Round(ended_at=harness.now, watermark=harness.now))
    return harness


@pytest.fixture
def connection(harness: Harness) -> Iterator[Connection]:
    with harness.engine.connect() as opened:
        yield opened
        opened.rollback()


def look(connection: Connection, harness: Harness) -> Attention:
    return what_needs_a_person(connection, now=harness.now, round_late=LATE)


def counts(attention: Attention) -> dict[Need, int]:
    assert attention.all_read
    return {figure.need: figure.count for figure in attention.figures if figure.count}


def test_nothing_needs_a_person(harness, connection):
    assert look(connection, harness).nothing


@pytest.mark.parametrize(
    ("statement", "need", "age"),
    [
        (DEAD, Need.DEAD, 2 * HOUR),
        (OPEN, Need.CIRCUITS, HOUR),
        (CLOSES_LATE, Need.CLOSINGS, HOUR / 6),
        (HELD, Need.ON_HOLD, 96 * HOUR),
    ],
)
def test_a_figure_has_its_count_and_its_oldest(harness, connection, statement, need, age):
    connection.execute(statement, {"now": harness.now})

    attention = look(connection, harness)

    assert counts(attention) == {need: 1}
    oldest = next(figure.oldest for figure in attention.figures if figure.need is need)
    assert harness.now - oldest == age


def test_jobs_that_stand_still_and_those_that_failed_lately(harness, connection):
    connection.execute(JOBS, {"now": harness.now})

    assert counts(look(connection, harness)) == {Need.STUCK_JOBS: 1, Need.FAILED_JOBS: 1}


def test_a_held_ticket_is_not_late(harness, connection):
    connection.execute(CLOSES_LATE, {"now": harness.now})
    connection.execute(HELD, {"now": harness.now})

    assert counts(look(connection, harness)) == {Need.ON_HOLD: 1}


def test_a_sweep_without_a_round_has_stopped(harness, connection):
    harness.wait(LATE + timedelta(seconds=1))
    assert counts(look(connection, harness)) == {Need.SWEEP: 1}

    connection.execute(text("DELETE FROM sweep_round"))
    assert counts(look(connection, harness)) == {Need.SWEEP: 1}


def test_a_round_more_changes_nothing_that_a_live_page_would_fetch_again(harness, connection):
    before = look(connection, harness)
    harness.wait(timedelta(seconds=1))
    store_round(connection, Round(ended_at=harness.now, watermark=harness.now))

    after = look(connection, harness)

    assert (after.figures, after.circuits) == (before.figures, before.circuits)


def test_a_count_stops_at_its_limit(harness, connection):
    connection.execute(REJECTED, {"now": harness.now, "many": COUNT_MAX + 200})

    assert counts(look(connection, harness)) == {Need.REJECTED: COUNT_MAX + 1}


def test_an_event_that_says_the_same_as_the_newer_one_needs_nobody(harness, connection):
    connection.execute(MANY_EVENTS, {"now": harness.now})

    assert Need.SUPERSEDED not in counts(look(connection, harness))


def test_what_cannot_be_read_fails_alone_and_is_never_nothing(harness, connection):
    connection.execute(text("ALTER TABLE rejected_input RENAME TO elsewhere"))

    attention = look(connection, harness)

    failed = [figure.need for figure in attention.figures if figure.failed]
    assert failed == [Need.REJECTED]
    assert not attention.nothing


def test_what_takes_too_long_together_is_left_out_and_said(harness, connection):
    seconds = count()

    attention = what_needs_a_person(
        connection,
        now=harness.now,
        round_late=LATE,
        all_max=timedelta(seconds=4),
        monotonic=lambda: float(next(seconds)),
    )

    failed = [figure.failed for figure in attention.figures]
    assert failed == [False] * 3 + [True] * (len(Need) - 3)
    assert not attention.nothing


@pytest.mark.parametrize("analysed", [False, True])
def test_each_read_takes_its_index_however_many_rows_there_are(harness, connection, analysed):
    harness.add_operator("healthy")
    gather(connection, now=harness.now)
    connection.execute(MANY_EVENTS, {"now": harness.now})
    connection.execute(REJECTED, {"now": harness.now, "many": 5000})
    connection.execute(DEAD, {"now": harness.now})
    connection.execute(CLOSES_LATE, {"now": harness.now})
    if analysed:
        connection.execute(text("ANALYZE"))

    plans = plans_of(connection, lambda: look(connection, harness))

    assert not BIG & plans.whole_tables
    assert plans.rows["notice"] <= 2 * COUNT_MAX
    assert plans.rows["ticket"] <= 3 * COUNT_MAX
