"""Old rows are removed in small steps, and each costs what it removes, however many there are."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, text

from models.settings.settings import Settings
from models.sweeps.retention import (
    LOCK_CANCELLED,
    LOCK_CLOSED,
    Position,
    remove_expired,
)
from tests.support.manual_clock import ManualClock
from tests.support.plain_settings import plain_settings
from tests.support.plans import plans_of, touched_by
from worker.sweep.round import REMOVAL_RESTART, Sweep

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
RETENTION = timedelta(days=90)
YOUNG, OLD, BATCH = 3_000, 400, 50
PARTS = 2  # events, notices and attempts of each ticket
BIG = ("ticket", "ticket_event", "notice", "delivery_attempt", "rejected_input")
# The old ones are scattered among the young: no page holds several of them.
TICKETS = text("""
    INSERT INTO ticket (operator, ticket_id, status, result, generation, notices, closed_at,
                        cancelled_at)
    SELECT o.id, 'T' || n,
           CASE n % 4 WHEN 1 THEN 'cancelled' WHEN 3 THEN 'absent' ELSE 'closed' END,
           CASE n % 2 WHEN 0 THEN 'won' ELSE 'pending' END, 1, 2,
           CASE n % 2 WHEN 0 THEN at END, CASE n % 2 WHEN 1 THEN at END
      FROM generate_series(1, :young + :old) AS n, operator o,
           LATERAL (SELECT CAST(:now AS timestamptz) - n * interval '1 second'
                           - CASE WHEN (n * 7919) % (:young + :old) < :old
                                  THEN interval '100 days' ELSE interval '1 day' END AS at) _""")
EVENTS = text("""
    INSERT INTO ticket_event (ticket, event_id, action, order_time, received_at, outcome,
                              status_before, status_after, decided_at)
    SELECT t.id, 'e' || k, 'ticket_win', :now, :now, 'applied', 'open', 'resulted/won', :now
      FROM ticket t, generate_series(1, 2) AS k""")
NOTICES = text("""
    INSERT INTO notice (ticket, operator, number, action, generation, body, head, due_at, ended,
                        ended_at, created_at)
    SELECT t.id, t.operator, k, 'ticket_update', k, '{}', false, :now, 'delivered', :now, :now
      FROM ticket t, generate_series(1, 2) AS k""")
ATTEMPTS = text("""
    INSERT INTO delivery_attempt (notice, claim, operator, verdict, took_ms, recorded_at)
    SELECT id, 1, operator, 'delivered', 5, :now FROM notice""")
REJECTED = text("""
    INSERT INTO rejected_input (entry_id, raw, whole, reason, message, received_at, rejected_at,
                                dropped_at)
    SELECT n || '-0', '{', true, 'not_json', 'not JSON', at, at, CASE n % 2 WHEN 0 THEN at END
      FROM generate_series(1, :young + :old) AS n,
           LATERAL (SELECT CAST(:now AS timestamptz) + n * interval '1 second'
                           - CASE WHEN n <= :old THEN interval '100 days'
                                  ELSE interval '1 day' END AS at) _""")
ADD_OPERATOR = text("""
    INSERT INTO operator (code, protocol, url, secret)
    VALUES ('acme', 'pam', 'https://partner.example/', 'sealed')""")
LEFT = text("SELECT count(*) FROM ticket WHERE least(closed_at, cancelled_at) < :before")


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    """A transaction in which much is young and some is old."""
    with engine.begin() as opened:
        row = {"now": NOW, "young": YOUNG, "old": OLD}
        for statement in (ADD_OPERATOR, TICKETS, EVENTS, NOTICES, ATTEMPTS, REJECTED):
            opened.execute(statement, row)
        yield opened


def remove(connection: Connection, position: Position | None = None) -> int:
    return remove_expired(connection, before=NOW - RETENTION, limit=BATCH, position=position)


def test_a_batch_reads_what_it_removes_and_no_whole_table(connection):
    """Counted by the server, foreign keys included, under the plan that the session really uses."""
    touched = touched_by(connection, lambda: remove(connection))

    assert {name: touched.one_by_one[name] for name in BIG} == dict.fromkeys(BIG, 0)
    assert touched.by_index["ticket"] <= 2 * BATCH * 4  # closed and cancelled: find, lock, remove
    assert touched.by_index["rejected_input"] <= BATCH * 4
    for name in ("ticket_event", "notice", "delivery_attempt"):
        assert touched.by_index[name] <= 2 * BATCH * PARTS * 4, name


def test_a_batch_with_nothing_old_reads_no_more_than_a_batch(connection):
    while remove(connection):
        pass

    touched = touched_by(connection, lambda: remove(connection))

    assert {name: touched.one_by_one[name] for name in BIG} == dict.fromkeys(BIG, 0)
    assert all(touched.by_index[name] <= BATCH for name in BIG), touched.by_index


def test_the_plan_of_a_batch_takes_the_indexes_made_for_it(connection):
    plans = plans_of(connection, lambda: remove(connection))

    assert {
        *("ticket_closed", "ticket_cancelled", "ticket_pkey", "rejected_input_pkey"),
        *("ticket_event_pkey", "notice_identity", "delivery_attempt_pkey"),
    } <= plans.indexes
    assert not set(BIG) & plans.whole_tables


def test_a_batch_reads_no_more_however_many_were_removed_before_it(connection):
    """Their rows and index entries are there as long as PostgreSQL cannot vacuum, as here."""
    position = Position()

    def find() -> None:
        limits = {"before": NOW - RETENTION, "limit": BATCH}
        connection.execute(LOCK_CLOSED, {"since": position.closed, **limits})
        connection.execute(LOCK_CANCELLED, {"since": position.cancelled, **limits})

    first = plans_of(connection, find).pages
    for _ in range(OLD // 2 // BATCH - 1):
        assert remove(connection, position) == 3 * BATCH

    assert plans_of(connection, find).pages <= 1.1 * first


def test_what_has_to_stay_is_passed_once(connection):
    connection.execute(
        text("UPDATE ticket SET unfinished = 1 WHERE least(closed_at, cancelled_at) < :before"),
        {"before": NOW - RETENTION},
    )
    position = Position()
    first = touched_by(connection, lambda: remove(connection, position))

    again = touched_by(connection, lambda: remove(connection, position))

    assert (first.by_index["ticket"], again.by_index["ticket"]) == (OLD, 0)


class Sight:
    """Nothing waits to be applied."""

    def watermark(self, now: datetime) -> datetime | None:  # noqa: ARG002 - the Sight's
        return NOW


def settings() -> Settings:
    return plain_settings(sweep_batch=BATCH, sweep_interval="1s")


def test_a_round_removes_for_a_small_part_of_its_interval_and_the_next_goes_on(engine, connection):
    """Live tickets come first: closings must not wait until a large stock is gone."""
    connection.commit()
    seconds = iter(range(1_000_000))  # each reading of the clock is 30 ms later
    sweep = Sweep(
        transaction=engine.begin,
        clock=ManualClock(NOW),
        watermark_source=Sight(),
        settings=settings(),
        monotonic=lambda: next(seconds) * 0.03,
    )

    first = sweep.round().forgotten
    removed = first
    while once := sweep.round().forgotten:
        removed += once

    assert first == 3 * BATCH  # one batch of each kind: then its 30 ms are over
    assert removed == 2 * OLD


def test_what_had_to_stay_goes_a_day_after_it_was_passed(harness, records):
    """A removal goes on where it was, and begins at the oldest once a day."""
    sweep = Sweep(
        transaction=harness.engine.begin,
        clock=harness.clock,
        watermark_source=Sight(),
        settings=settings(),
    )
    harness.say("ticket_discard", "held")
    last = harness.claim_one()
    harness.hold("held")
    harness.record(last)
    harness.wait(RETENTION + timedelta(days=1))
    assert sweep.round().forgotten == 0

    harness.release_ticket("held")
    harness.wait(REMOVAL_RESTART - timedelta(seconds=1))
    assert sweep.round().forgotten == 0
    harness.wait(timedelta(seconds=1))
    assert sweep.round().forgotten == 1
    assert records.tickets() == []
