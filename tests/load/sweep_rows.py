"""The closing sweep against bare SQL, and with ten times as many tickets pending."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from tests.load.environment import BenchEnvironment, Database
from tests.load.pending import first_due, with_pending
from tests.load.results import Samples
from worker.sweep.round import Sweep

BATCH = 500  # SLIPWAY_SWEEP_BATCH
SECOND = timedelta(seconds=1)
BARE = text("""
    WITH due AS MATERIALIZED (
        SELECT id FROM ticket
         WHERE close_due_at <= :now AND parked = 0
         ORDER BY close_due_at LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED),
    closed AS (
        UPDATE ticket t
           SET status = 'closed', closed_at = :now, close_due_at = NULL,
               notices = 2, unfinished = 1
          FROM due WHERE t.id = due.id
     RETURNING t.id, t.ticket_id),
    told AS (
        INSERT INTO notice (ticket, operator, number, action, generation, body, head, due_at,
                            created_at)
        SELECT id, 1, 2, 'ticket_closed', 1,
               '{"action":"ticket_closed","data":{"operator":"acme","ticket_id":"' || ticket_id
               || '"}}', true, :now, :now
          FROM closed)
    SELECT count(*) FROM closed""")


@dataclass(slots=True)
class Time:
    """A clock and a watermark that are moved on from wave to wave."""

    moment: datetime

    def now(self, connection: Connection) -> datetime:  # noqa: ARG002 - as `Clock` has it
        """Return the moment."""
        return self.moment

    def watermark(self, now: datetime) -> datetime | None:  # noqa: ARG002 - the Sight's
        """All that was published is applied."""
        return self.moment


@dataclass(frozen=True, slots=True)
class Waiting:
    """A database with tickets that wait for their time, and the sweep on it."""

    database: Database
    time: Time
    sweep: Sweep

    def bare(self, due: int) -> float:
        """Close a wave by bare SQL; tickets a second."""
        self._move(due)
        closed = 0
        before = time.perf_counter()
        while True:
            with self.database.engine.begin() as connection:
                row = {"now": self.time.moment, "limit": BATCH}
                done: int = connection.execute(BARE, row).scalar_one()
            closed += done
            if not done:
                return closed / (time.perf_counter() - before)

    def ours(self, due: int) -> float:
        """Close a wave by rounds of the sweep; tickets a second."""
        self._move(due)
        closed = 0
        before = time.perf_counter()
        while done := self.sweep.round().closed:
            closed += done
        return closed / (time.perf_counter() - before)

    def _move(self, due: int) -> None:
        self.database.tidy("CHECKPOINT")
        self.time.moment += due * SECOND


def measure(
    environment: BenchEnvironment,
    samples: Samples,
    *,
    rounds: int,
    due: int,
    pending: tuple[int, int],
) -> None:
    """Take turns between bare SQL and the sweep, with few and with many pending."""
    few, many = pending
    small, big = (_waiting(environment, samples, count) for count in pending)
    for side in (small, big):
        side.bare(BATCH * 12)
        side.ours(BATCH * 12)
    for _ in range(rounds):
        bare, ours = small.bare(due), small.ours(due)  # what is compared, one after the other
        ours_big, bare_big = big.ours(due), big.bare(due)
        samples.add(f"bare SQL, {few:,} pending, closings/s", bare)
        samples.add(f"bare SQL, {many:,} pending, closings/s", bare_big)
        samples.add(f"Slipway, {few:,} pending, closings/s", ours)
        samples.add(f"Slipway, {many:,} pending, closings/s", ours_big)
        samples.ratio("sweep", ours / bare)
        samples.ratio("sweep_big", ours_big / ours)


def _waiting(environment: BenchEnvironment, samples: Samples, count: int) -> Waiting:
    database = with_pending(environment, samples, count)
    moved = Time(first_due(environment))
    sweep = Sweep(
        transaction=database.engine.begin,
        clock=moved,
        watermark_source=moved,
        settings=environment.settings(database.url),
    )
    return Waiting(database, moved, sweep)
