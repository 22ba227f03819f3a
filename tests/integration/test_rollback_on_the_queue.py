"""Rule 17 with two channels: a rollback counts from the moment it was published, wherever it waits.

The ticket's clock is the test's, Redis' is the real one: results are taken so that the delay ends
a moment ahead of Redis' present.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from celery import Celery
from redis import Redis
from sqlalchemy import Engine

from models.events.event import Entry
from tests.support.bare_clients import celery_backend
from tests.support.harness import CLOSE_DELAY, OPERATOR, Harness
from tests.support.manual_clock import ManualClock
from tests.support.noted_moments import noted
from tests.support.plain_settings import plain_settings
from tests.support.records import Records
from tests.support.ticket_queue import full
from tests.support.wait import eventually
from worker.intake.celery_queue import CeleryQueue
from worker.intake.stream import Stream
from worker.sweep.round import Sweep
from worker.sweep.watermark import StreamWatermark

MOMENT = timedelta(milliseconds=500)
LATER = timedelta(hours=1)
FACTS = {"operator": OPERATOR, "ticket_id": "T"}


@pytest.fixture
def clock(redis: Redis) -> ManualClock:
    return ManualClock(present(redis) - CLOSE_DELAY - LATER)


@pytest.fixture
def due(harness: Harness, redis: Redis, backend: Celery) -> datetime:
    """When the ticket closes, a moment ahead of Redis' present; its partner has taken a win."""
    backend.send_task("ticket_paid", queue="elsewhere")  # connected, it publishes without delay
    harness.clock.advance(present(redis) - CLOSE_DELAY + MOMENT - harness.now)
    harness.say("ticket_win")
    harness.deliver()
    return harness.now + CLOSE_DELAY


@pytest.fixture
def sweep(engine: Engine, redis: Redis, clock: ManualClock) -> Sweep:
    return Sweep(
        transaction=engine.begin,
        clock=clock,
        watermark_source=StreamWatermark(redis),
        settings=plain_settings(),
    )


@pytest.fixture
def stream(redis: Redis) -> Stream:
    """The intake's hands; nothing is read before the test does it."""
    return Stream(redis, consumer="under-test")


@pytest.fixture
def backend(redis_url: str) -> Iterator[Celery]:
    with celery_backend(redis_url) as app:
        yield app


def present(redis: Redis) -> datetime:
    seconds, microseconds = redis.time()
    return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)


def pass_by(redis: Redis, clock: ManualClock, moment: datetime) -> None:
    """Let both clocks go beyond *moment*."""
    eventually(lambda: present(redis) > moment)
    clock.advance(CLOSE_DELAY + LATER)


def run_the_intake(stream: Stream, harness: Harness) -> None:
    entries: list[Entry] = stream.read(count=100, block=timedelta(milliseconds=1))
    harness.publish(*entries)
    stream.acknowledge([entry.id for entry in entries])


def test_a_rollback_that_was_only_on_the_queue_when_its_ticket_fell_due_is_honoured(
    due, sweep, backend, redis, clock, stream, harness, records: Records
):
    """The intake is stopped, the sweep runs: it moves the rollback, and closes nothing for it."""
    sweep.round()
    backend.send_task("ticket_rollback", kwargs=FACTS, queue="tickets")
    assert present(redis) < due, "published in time"
    pass_by(redis, clock, due)

    rounds = [sweep.round() for _ in range(3)]

    assert [swept.closed for swept in rounds] == [0, 0, 0]
    assert redis.llen("tickets") == 0
    run_the_intake(stream, harness)
    assert sweep.round().closed == 0
    assert records.standing() == "open/pending"
    assert records.notice_actions() == ["ticket_win", "ticket_rollback"]


def test_so_it_is_when_no_sweep_ever_looked_before(
    due, sweep, backend, redis, clock, stream, harness, records
):
    """Its entry's id is younger than the due time, and no noted moment shows when it arrived."""
    backend.send_task("ticket_rollback", kwargs=FACTS, queue="tickets")
    pass_by(redis, clock, due)

    assert sweep.round().watermark is None

    run_the_intake(stream, harness)
    sweep.round()
    assert records.standing() == "open/pending"


def test_so_it_is_when_another_intake_moved_it_and_died(
    due, sweep, backend, redis, clock, stream, harness, records
):
    """Between two sweeps: on the stream with a young id, in a dead consumer's hands."""
    sweep.round()
    backend.send_task("ticket_rollback", kwargs=FACTS, queue="tickets")
    pass_by(redis, clock, due)
    CeleryQueue(redis).drain()
    entries = Stream(redis, consumer="dead").read(count=10, block=timedelta(milliseconds=1))

    assert sweep.round().closed == 0

    harness.publish(*entries)
    stream.acknowledge([entry.id for entry in entries])
    sweep.round()
    assert records.standing() == "open/pending"


def test_a_rollback_that_was_only_on_the_stream_is_honoured(
    due, sweep, redis, clock, stream, harness, records
):
    sweep.round()
    redis.xadd("ticket-events", harness.event("ticket_rollback").fields)
    pass_by(redis, clock, due)

    assert sweep.round().closed == 0

    run_the_intake(stream, harness)
    sweep.round()
    assert records.standing() == "open/pending"


def test_a_rollback_sent_to_the_queue_after_the_due_time_holds_nothing_up(
    due, sweep, backend, redis, clock, stream, harness, records
):
    pass_by(redis, clock, due)
    StreamWatermark(redis).watermark(present(redis))  # a sweep looked, and found the queue empty
    backend.send_task("ticket_rollback", kwargs=FACTS, queue="tickets")

    assert sweep.round().closed == 1

    run_the_intake(stream, harness)
    assert records.standing() == "closed/won"
    assert records.events()[-1].reason == "ticket_closed"


def test_while_the_queue_cannot_be_emptied_no_moment_is_noted(
    due, sweep, backend, redis, clock, harness, records
):
    """Redis is full: what waits there may be a rollback."""
    sweep.round()
    before = noted(redis)
    backend.send_task("ticket_rollback", kwargs=FACTS, queue="tickets")
    pass_by(redis, clock, due)

    with full(redis):
        swept = sweep.round()

    assert swept.closed == 0
    assert noted(redis) == before
    assert redis.llen("tickets") == 1
