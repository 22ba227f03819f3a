"""A deliverer's claim of due notices: many held back at a partner that is down, or none."""

import statistics
import time
from datetime import datetime, timedelta

from sqlalchemy import text

from models.operators.partners import enabled_partners
from models.platform.clock import DatabaseClock
from tests.load.environment import BenchEnvironment, Database
from tests.load.results import Samples
from worker.delivery.admission import Admission

LOOKS = 40
CLAIMED_MIN = 256
DUE = 20_000
FOLLOWERS = 100  # on each ticket whose head the partner does not take
OPERATORS = 17  # the last one is down
UNCHECKED = text("SET LOCAL session_replication_role = replica")
TICKETS = text("""
    INSERT INTO ticket (operator, ticket_id, status, result, generation, notices, unfinished)
    SELECT CASE WHEN :sick THEN :operators ELSE 1 + n % (:operators - 1) END,
           CASE WHEN :sick THEN 'S' ELSE 'T' END || n, 'resulted', 'won', 1, :each, :each
      FROM generate_series(1, CAST(:count AS int)) AS n""")
NOTICES = text("""
    INSERT INTO notice (ticket, operator, number, action, generation, body, head, due_at,
                        postponed_at, tries, created_at)
    SELECT t.id, t.operator, k, 'ticket_update', k, '{}', k = 1,
           CASE WHEN t.operator = :operators THEN CAST(:now AS timestamptz) + interval '1 hour'
                ELSE :now END,
           CASE WHEN t.operator = :operators AND k = 1 THEN CAST(:now AS timestamptz) END,
           CASE WHEN t.operator = :operators AND k = 1 THEN 3 ELSE 0 END, :now
      FROM ticket t, generate_series(1, t.notices) AS k""")


def measure(environment: BenchEnvironment, samples: Samples, *, rounds: int, held: int) -> None:
    """Take turns between a database without and one with *held* followers."""
    with (
        environment.database("none_held", operators=OPERATORS) as free,
        environment.database("held", operators=OPERATORS) as crowded,
    ):
        now = _fill(free, 0)
        _fill(crowded, held)
        for _ in range(rounds):
            none = _looks(free, now)
            many = _looks(crowded, now)
            samples.add("claim, none held back, ms", none)
            samples.add(f"claim, {held:,} held back, ms", many)
            samples.ratio("claim", none / many)


def _fill(database: Database, held: int) -> datetime:
    with database.engine.begin() as connection:
        connection.execute(UNCHECKED)
        now = DatabaseClock().now(connection)
        for sick, count, each in ((True, held // FOLLOWERS, FOLLOWERS + 1), (False, DUE, 1)):
            row = {"sick": sick, "count": count, "each": each, "operators": OPERATORS}
            connection.execute(TICKETS, row)
        connection.execute(NOTICES, {"now": now, "operators": OPERATORS})
    database.tidy("VACUUM ANALYZE ticket, notice")
    return now


def _looks(database: Database, now: datetime) -> float:
    """The median of many looks, each of them undone, in milliseconds."""
    settings = database.environment.settings(database.url)
    took: list[float] = []
    with database.engine.connect() as connection:
        for _ in range(LOOKS):
            admission = Admission(
                transaction=database.engine.begin,
                clock=DatabaseClock(),
                settings=settings,
                monotonic=time.monotonic,
            )
            there = enabled_partners(connection, now=now)
            before = time.perf_counter()
            admitted = admission.claim_within(
                connection,
                there,
                places=settings.in_flight_max,
                now=now + timedelta(minutes=1),
            )
            took.append(time.perf_counter() - before)
            assert len(admitted.claims) >= CLAIMED_MIN, "the healthy partners' notices are found"
            connection.rollback()
    return statistics.median(took) * 1000
