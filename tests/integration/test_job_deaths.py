"""A job's work and its progress commit together: nothing is lost or done twice (deaths, races)."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count

import pytest
from celery import Celery
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, event, text

from models.jobs import Job, JobState, advance_jobs
from models.platform.clock import DatabaseClock
from tests.support.celery_process import celery, environment, must_live
from tests.support.job_items import Items, registered
from tests.support.wait import eventually

ITEMS = 40
STATEMENTS_MAX = 14  # more than a batch has
DEAD = text("""
    UPDATE notice SET ended = 'dead', ended_at = now() - interval '1 hour', reason = '410'""")
RETRIED = text("""
    SELECT CAST(facts ->> 'notice' AS bigint) FROM intervention WHERE did = 'notice_retried'""")
LEFT = text("SELECT count(*) FROM notice WHERE ended = 'dead'")
_owners = (f"owner-{number}" for number in count())


class Death(BaseException):
    """The process dies: nothing that it would do next happens."""


@pytest.fixture
def items(engine: Engine):
    made = Items(engine)
    with registered(made.kind):
        yield made


def die_at(connection: Connection, statement: int | None) -> None:
    """Die before the statement of that number."""
    if statement is None:
        return
    numbers = count()

    def before(*_: object) -> None:
        if next(numbers) == statement:
            raise Death

    event.listen(connection, "before_cursor_execute", before)


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(st.integers(1, 12), st.none() | st.integers(0, STATEMENTS_MAX)), max_size=12
    ),
    st.sets(st.integers(1, ITEMS), max_size=5),
)
def test_deaths_between_any_two_steps_lose_and_double_nothing(items, jobs, engine, steps, refused):
    owner = next(_owners)
    items.fill(owner, ITEMS)
    items.refused = dict.fromkeys(refused, "no")
    job = jobs.mark(owner)
    for limit, statement in steps:
        with suppress(Death), engine.connect() as connection:
            die_at(connection, statement)
            with connection.begin():
                advance_jobs(connection, now=jobs.now, limit=limit)
        now = jobs.find(job)
        assert sum(items.marks(owner)) == now.done, "work and progress are one"
    jobs.advance_all()

    ended = jobs.find(job)
    assert (ended.state, ended.done, ended.refused) == (
        JobState.DONE,
        ITEMS - len(refused),
        len(refused),
    )
    assert items.marks(owner) == [int(number not in refused) for number in range(1, ITEMS + 1)]


def test_two_sweeps_at_once_advance_each_job_by_one_of_them(items, jobs, engine):
    """Both do work, no item is done twice."""
    started = [jobs.mark(owner) for owner in "abcd" if items.fill(owner, 200) is None]
    together = threading.Barrier(2)
    did: Counter[int] = Counter()

    def run(sweep: int) -> None:
        together.wait(60)
        while True:
            with engine.begin() as connection:
                advanced = advance_jobs(connection, now=DatabaseClock().now(connection), limit=5)
            if advanced is None:
                return
            if not did[sweep]:
                together.wait(60)  # for the other one's first batch: neither does all of the work
            did[sweep] += advanced.handled

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, (1, 2)))
    jobs.advance_all()  # what the other still held when one looked last

    assert [jobs.find(job).done for job in started] == [200] * 4
    assert all(items.marks(owner) == [1] * 200 for owner in "abcd")
    assert min(did[1], did[2]) > 0, did


def test_a_job_that_another_sweep_has_is_passed_over(items, jobs, engine):
    items.fill("a", 20)
    items.fill("b", 20)
    first, second = jobs.mark("a"), jobs.mark("b")
    with engine.begin() as connection:
        held = advance_jobs(connection, now=jobs.now, limit=5)
        assert held is not None
        assert held.job.id == first.id
        other = jobs.advance(limit=5)
        assert other is not None
        assert other.job.id == second.id
        jobs.stop(second)
        assert jobs.advance(limit=5) is None, "one is held, one is stopped"

    assert (jobs.find(first).done, jobs.find(second).done) == (5, 5)


def test_a_stop_waits_for_the_batch_and_comes_before_the_next(items, jobs, engine):
    items.fill("a", 20)
    job = jobs.mark("a")
    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as connection:
            advance_jobs(connection, now=jobs.now, limit=5)
            stopping = pool.submit(jobs.stop, job)
            assert not stopping.done()
        stopped: Job = stopping.result()

    assert (stopped.state, stopped.done) == (JobState.STOPPED, 5)
    assert jobs.advance() is None


@pytest.mark.slow
def test_a_sweep_process_that_is_killed_loses_and_doubles_nothing(
    tmp_path, harness, jobs, engine, database, redis_url, redis
):
    number = 400
    harness.publish(*(harness.event("ticket_win", f"T{n}") for n in range(number)))
    with engine.begin() as connection:
        connection.execute(DEAD)
    with engine.connect() as connection:
        jobs.wait(DatabaseClock().now(connection) - jobs.now)
    job = jobs.start("retry_notices")
    env = environment(tmp_path, database_url=database, redis_url=redis_url, sweep_interval="20ms")
    app = Celery("beat", broker=redis_url, set_as_current=False)

    def done() -> int:
        if not redis.llen("sweep"):
            app.send_task("sweep", queue="sweep")
        return int(jobs.find(job).done)

    worker = ("-Q", "sweep", "-P", "threads", "-c", "1", "--without-gossip", "--without-mingle")
    log = tmp_path / "sweep.log"
    for least in (1, 101):
        with celery("worker", "-n", f"killed{least}@test", *worker, env=env, log=log) as process:

            def reached(least: int = least, process=process) -> bool:
                must_live(process, log)
                return done() >= least

            eventually(reached)
            process.kill()
    with celery("worker", "-n", "heir@test", *worker, env=env, log=log) as process:

        def ended() -> bool:
            must_live(process, log)
            return done() == number

        eventually(ended)
    app.close()

    assert eventually(lambda: jobs.find(job).has_ended) is True
    with engine.begin() as connection:
        retried = Counter(connection.execute(RETRIED).scalars())
        assert connection.execute(LEFT).scalar_one() == 0
    assert (len(retried), set(retried.values())) == (number, {1})
