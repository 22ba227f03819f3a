"""The job engine: count, progress, pace, stop, failure, turns. The kind is a test's own."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection, Engine, text

from models.jobs import (
    JobState,
    count_job,
    find_job,
    list_jobs,
    remove_ended_jobs,
    start_job,
    stop_job,
)
from models.jobs.advance import LATENESS_MAX, OTHER_REASONS, PAUSE
from models.jobs.values import REASONS_MAX
from models.monitoring.stats import collect_stats
from models.outbox.dead_letters import NotPossible
from models.platform.bounded_count import COUNT_MAX
from models.platform.errors import InvalidError, NotFoundError
from tests.support.job_actions import ANN, BOB
from tests.support.job_items import MARK, Items, registered

INTERVENTIONS = text("SELECT who, why, did, facts FROM intervention ORDER BY id")


@pytest.fixture
def items(engine: Engine) -> Iterator[Items]:
    made = Items(engine)
    with registered(made.kind):
        yield made


def test_a_job_counts_first_then_handles_every_item_once(items, jobs):
    items.fill("a", 25)

    job = jobs.mark()
    assert (job.state, str(job.expected), job.done) == (JobState.WAITING, "25", 0)
    jobs.advance()
    running = jobs.find(job)
    assert (running.state, running.done, running.position) == (JobState.RUNNING, 10, {"after": 10})
    assert running.progressed_at == running.started_at == jobs.now
    jobs.advance_all()

    ended = jobs.find(job)
    assert (ended.state, ended.done, ended.ended_at) == (JobState.DONE, 25, jobs.now)
    assert items.marks("a") == [1] * 25


def test_a_job_without_items_is_done_at_once(items, jobs):
    job = jobs.mark()
    jobs.advance_all()

    assert jobs.find(job).state is JobState.DONE


def test_a_count_beyond_the_limit_is_at_least(items, jobs, engine):
    items.fill("a", COUNT_MAX + 5)
    with engine.begin() as connection:
        assert str(count_job(connection, MARK, {"owner": "a"}, now=jobs.now)) == "10,000+"
    assert jobs.find(jobs.mark()).expected == (COUNT_MAX, False)


def test_refusals_are_counted_by_reason_and_other_items_go_on(items, jobs):
    items.fill("a", 30)
    items.refused = {5: "closed", 6: "closed", 17: "on hold"}

    job = jobs.mark()
    jobs.advance_all()

    ended = jobs.find(job)
    assert (ended.state, ended.done, ended.refused) == (JobState.DONE, 27, 3)
    assert ended.reasons == {"closed": 2, "on hold": 1}


def test_only_so_many_reasons_are_kept_and_the_rest_is_counted_together(items, jobs):
    items.fill("a", 30)
    items.refused = {number: f"reason {min(number, 25)}" for number in range(1, 31)}

    job = jobs.mark()
    jobs.advance_all()

    reasons = jobs.find(job).reasons
    assert len(reasons) == REASONS_MAX + 1
    assert reasons[OTHER_REASONS] == 30 - REASONS_MAX


def test_start_and_stop_are_recorded_with_name_and_reason(items, jobs, engine):
    items.fill("a", 25)
    job = jobs.mark()
    jobs.advance()
    stopped = jobs.stop(job)

    assert (stopped.state, stopped.done, stopped.ended_at) == (JobState.STOPPED, 10, jobs.now)
    assert stopped.message == "stopped by bob: wrong filter"
    with engine.begin() as connection:
        started, stop = connection.execute(INTERVENTIONS)
    assert (started.who, started.why, started.did) == (ANN.who, ANN.why, "job_started")
    assert started.facts == {
        "owner": "a",
        "job": job.id,
        "kind": MARK,
        "expected": "25",
        "pace": None,
    }
    assert (stop.who, stop.did, stop.facts["done"]) == (BOB.who, "job_stopped", 10)


def test_a_stopped_job_does_nothing_more(items, jobs):
    items.fill("a", 25)
    job = jobs.mark()
    jobs.advance()
    jobs.stop(job)

    assert jobs.advance() is None
    assert items.marks("a") == [1] * 10 + [0] * 15
    with pytest.raises(NotPossible, match=f"job {job.id} has ended already: stopped since"):
        jobs.stop(job)


def test_a_job_that_is_not_there_or_of_no_kind(items, jobs, engine):
    with engine.begin() as connection:
        with pytest.raises(NotFoundError, match="there is no job 7"):
            find_job(connection, 7)
        with pytest.raises(NotFoundError, match="there is no job 7"):
            stop_job(connection, 7, person=ANN, now=jobs.now)
        with pytest.raises(InvalidError, match="no kind of job 'mystery'"):
            start_job(connection, "mystery", {}, person=ANN, now=jobs.now)
        for pace in (0, -1, float("inf"), float("nan")):
            with pytest.raises(InvalidError, match="pace"):
                start_job(connection, MARK, {"owner": "a"}, person=ANN, now=jobs.now, pace=pace)


def test_the_same_key_of_a_person_is_one_job(items, jobs):
    items.fill("a", 5)
    first = jobs.mark(key="k-1")

    assert jobs.mark(key="k-1").id == first.id
    assert jobs.mark(key="k-1", person=BOB).id != first.id, "another person's key"
    with pytest.raises(NotPossible, match=f"used for job {first.id}"):
        jobs.mark("b", key="k-1")


def test_a_paced_job_keeps_its_pace_and_bursts_after_no_pause(items, jobs):
    items.fill("a", 200)
    job = jobs.mark(pace=10)
    began = jobs.now
    done: list[int] = []
    for _ in range(5):
        jobs.advance_all(limit=100)
        done.append(jobs.find(job).done)
        jobs.wait(timedelta(seconds=1))
    assert done == [10, 20, 30, 40, 50]
    jobs.wait(timedelta(hours=1))  # no sweep ran
    jobs.advance_all(limit=100)
    assert jobs.find(job).done == 60, "the pause is not made up for"
    assert jobs.now - began > timedelta(hours=1)


def test_a_round_that_is_a_little_late_keeps_the_pace(items, jobs):
    items.fill("a", 200)
    job = jobs.mark(pace=10)
    late = LATENESS_MAX * 0.8
    for _ in range(5):  # rounds after 0, 1.4, 2, 3.4, 4 … seconds
        jobs.advance_all(limit=100)
        jobs.wait(timedelta(seconds=1) + late)
        jobs.advance_all(limit=100)
        jobs.wait(timedelta(seconds=1) - late)

    assert jobs.find(job).done == 100


def test_a_slow_pace_is_one_item_at_a_time(items, jobs):
    items.fill("a", 3)
    job = jobs.mark(pace=0.1)
    jobs.advance_all()
    assert jobs.find(job).done == 1
    jobs.wait(timedelta(seconds=9))
    jobs.advance_all()
    assert jobs.find(job).done == 1
    jobs.wait(timedelta(seconds=1))
    jobs.advance_all()
    assert jobs.find(job).done == 2


def test_jobs_have_turns(items, jobs):
    items.fill("a", 1000)
    items.fill("b", 20)
    big, small = jobs.mark("a"), jobs.mark("b")
    for _ in range(6):
        jobs.wait(timedelta(milliseconds=10))
        jobs.advance()

    assert [job for job, _ in items.batches] == [big.id, small.id] * 3
    assert jobs.find(small).state is JobState.DONE


def test_an_item_whose_content_fails_stands_alone_and_ends_the_job(items, jobs):
    items.fill("a", 30)

    def divide(connection: Connection, ids: list[int]) -> None:
        if 14 in ids:
            connection.execute(text("SELECT 1 / 0"))

    items.on_step = divide
    job = jobs.mark()
    jobs.advance_all()

    failed = jobs.find(job)
    assert (failed.state, failed.done) == (JobState.FAILED, 13)
    assert failed.message == "failed after 13 items: DivisionByZero 22012"
    assert items.marks("a") == [1] * 13 + [0] * 17


def test_an_error_of_the_server_makes_the_job_wait_and_lets_others_go_on(items, jobs):
    items.fill("a", 10)
    items.fill("b", 10)
    failing = jobs.mark("a")
    other = jobs.mark("b")

    def no_lock(connection: Connection, _ids: list[int]) -> None:
        if len(items.batches) == 0:
            items.batches.append((0, 0))
            connection.execute(
                text("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'lock_not_available'; END $$")
            )

    items.on_step = no_lock
    jobs.advance_all()
    waiting = jobs.find(failing)
    assert (waiting.done, waiting.ended_at) == (0, None)
    assert "LockNotAvailable 55P03" in str(waiting.message)
    assert jobs.find(other).state is JobState.DONE
    jobs.wait(PAUSE)
    jobs.advance_all()
    assert (jobs.find(failing).state, jobs.find(failing).message) == (JobState.DONE, None)
    assert items.marks("a") == [1] * 10


def test_a_job_stands_still_if_it_is_not_carried_on_or_each_batch_fails(items, jobs, engine):
    """The metric is 0 for one that waits by its pace, and goes back to 0 with a batch."""

    def stalled() -> timedelta | None:
        with engine.begin() as connection:
            since = collect_stats(connection, now=jobs.now).job_stalled_since
        return None if since is None else jobs.now - since

    def fail(connection: Connection, _ids: list[int]) -> None:
        connection.execute(
            text("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'lock_not_available'; END $$")
        )

    items.fill("a", 10)
    assert stalled() is None
    job = jobs.mark(pace=1)
    jobs.wait(PAUSE)
    assert stalled() == PAUSE
    jobs.advance_all()
    assert jobs.find(job).state is JobState.RUNNING
    assert stalled() is None

    jobs.wait(PAUSE)
    items.on_step = fail
    for failures in range(3):
        jobs.advance_all()
        assert stalled() == failures * PAUSE
        jobs.wait(PAUSE)
    items.on_step = lambda _connection, _ids: None
    jobs.advance_all()
    assert stalled() is None


def test_jobs_that_have_not_ended_are_counted_by_state(items, jobs, engine):
    items.fill("a", 10)
    running = jobs.mark(pace=1)
    jobs.advance_all()
    jobs.stop(jobs.mark())
    jobs.mark()

    with engine.begin() as connection:
        counts = collect_stats(connection, now=jobs.now).jobs
    assert jobs.find(running).state is JobState.RUNNING
    assert counts == {JobState.WAITING: 1, JobState.RUNNING: 1}


def test_what_ended_is_kept_for_a_while_and_then_removed(items, jobs, engine):
    first, second = jobs.mark(), jobs.mark()
    jobs.stop(first)
    jobs.wait(timedelta(days=1))
    jobs.stop(second)
    third = jobs.mark()
    with engine.begin() as connection:
        assert remove_ended_jobs(connection, before=jobs.now, limit=10) == 1
        assert [job.id for job in list_jobs(connection)] == [third.id, second.id]
        assert [job.id for job in list_jobs(connection, before=third.id)] == [second.id]
        assert list_jobs(connection, states=[JobState.WAITING])[0].id == third.id
