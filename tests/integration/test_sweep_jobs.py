"""The sweep advances jobs after what is due by the clock, for a share of its time only."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from models.jobs import JobState
from tests.support.harness import CLOSE_DELAY, Harness
from tests.support.job_items import Items, registered
from tests.support.plain_settings import plain_settings
from worker.sweep.round import JOBS_SHARE, Sweep

DEAD = text("UPDATE notice SET ended = 'dead', ended_at = :at, reason = '410' WHERE ended IS NULL")
INTERVAL = timedelta(seconds=1)


class Watch:
    """A source of watermarks, and a stopwatch that each batch of a job moves on."""

    def __init__(self, *, known: bool = True) -> None:
        self.known = known
        self.seconds = 0.0

    def watermark(self, now):
        """Everything is applied, or nobody can say."""
        return now if self.known else None

    def read(self) -> float:
        return self.seconds


def sweep_on(harness: Harness, watch: Watch) -> Sweep:
    return Sweep(
        transaction=harness.engine.begin,
        clock=harness.clock,
        watermark_source=watch,
        settings=plain_settings(sweep_interval=INTERVAL),
        monotonic=watch.read,
    )


@pytest.mark.parametrize("known", [True, False])
def test_a_round_advances_jobs_and_wakes_deliverers(harness, jobs, known):
    """Without a watermark, too: what a person decided does not depend on the stream."""
    harness.say("ticket_win")
    with harness.engine.begin() as connection:
        connection.execute(DEAD, {"at": harness.now})
    job = jobs.start("retry_notices")

    swept = sweep_on(harness, Watch(known=known)).round()

    assert (swept.job_items, swept.due) == (1, True)
    assert jobs.find(job).state is JobState.DONE
    assert harness.deliver() == [("T", "ticket_win")]


def test_jobs_have_a_share_of_the_time_and_come_after_the_closings(harness, jobs):
    for ticket in ("A", "B"):
        harness.say("ticket_win", ticket)
    harness.deliver()
    harness.wait(CLOSE_DELAY)
    items, watch = Items(harness.engine), Watch()
    items.fill("a", 10_000)
    closed_before: list[int] = []

    def work(connection, _ids) -> None:
        watch.seconds += 0.1
        statement = text("SELECT count(*) FROM ticket WHERE status = 'closed'")
        closed_before.append(connection.execute(statement).scalar_one())

    items.on_step = work
    with registered(items.kind):
        job = jobs.mark("a")
        swept = sweep_on(harness, watch).round()

    assert swept.closed == 2
    assert set(closed_before) == {2}, "the closings were first"
    assert swept.job_batches == 3
    assert watch.seconds <= INTERVAL.total_seconds() * JOBS_SHARE + 0.1 + 1e-9
    assert jobs.find(job).state is JobState.RUNNING
