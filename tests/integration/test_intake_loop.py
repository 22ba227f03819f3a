"""The intake's loop on real servers: it never dies, drops nothing, returns what it cannot apply."""

import logging
import threading
from datetime import timedelta

import pytest
from redis import Redis
from redis.exceptions import BusyLoadingError

from models.database.engine import open_engine
from models.events.stream_contract import GROUP, STREAM
from models.intake.apply import Applied, DecodedBatch
from tests.support.closed_port import closed_port
from tests.support.harness import OPERATOR, Harness
from tests.support.intake_at_work import applying, events, publish, running
from tests.support.wait import PATIENCE, eventually
from worker.intake.loop import BATCHES_MAX


@pytest.fixture
def operator(harness: Harness) -> str:
    return OPERATOR


def is_loaded(redis: Redis) -> bool:
    try:
        return redis.ping()
    except BusyLoadingError:
        return False


def test_entries_are_applied_then_removed_and_the_deliverers_are_woken(
    redis, redis_url, engine, operator
):
    publish(redis, operator, "1", "2")

    with running(redis_url, applying(engine)) as calls:
        eventually(lambda: calls.batches)

    assert events(engine) == 2
    assert redis.xlen(STREAM) == 0
    assert calls.notified == 1
    assert calls.batches[0].entries == 2
    assert calls.batches[0].applied.outcomes["ticket_win", "applied"] == 2


def test_what_comes_while_no_batch_may_start_is_one_batch(redis, redis_url, engine, operator):
    """Read before, each entry would be a batch of its own, and wait for another one to end."""
    begun, free = threading.Semaphore(0), threading.Event()
    later = [f"later-{number}" for number in range(20)]

    def apply(opened: DecodedBatch, *, isolate_unclear: bool = False) -> Applied:
        begun.release()
        assert free.wait(PATIENCE.total_seconds())
        return applying(engine)(opened, isolate_unclear=isolate_unclear)

    with running(redis_url, apply) as calls:
        for ticket in range(BATCHES_MAX):
            publish(redis, operator, f"{ticket}")
            assert begun.acquire(timeout=PATIENCE.total_seconds())
        publish(redis, operator, *later)  # one after the other
        free.set()
        eventually(lambda: len(calls.batches) > BATCHES_MAX)

    assert sorted(batch.entries for batch in calls.batches) == [1] * BATCHES_MAX + [len(later)]
    assert events(engine) == BATCHES_MAX + len(later)


def test_an_undecodable_entry_is_stored_as_rejected_and_wakes_no_deliverer(
    redis, redis_url, engine
):
    redis.xadd(STREAM, {"event": "{"})

    with running(redis_url, applying(engine)) as calls:
        eventually(lambda: calls.batches)

    assert redis.xlen(STREAM) == 0
    assert calls.notified == 0


def test_a_batch_outlasts_an_outage_of_the_database_and_counts_as_no_delivery(
    redis, redis_url, engine, operator, caplog
):
    """Rule 21: the whole batch again. Rule H46 counts processes that died, not outages."""
    unavailable = open_engine(
        f"postgresql://nobody@127.0.0.1:{closed_port()}/none", application_name="tests"
    )
    appliers = [applying(unavailable)]
    failures = 0

    def apply(opened: DecodedBatch, *, isolate_unclear: bool = False) -> Applied:
        nonlocal failures
        try:
            return appliers[0](opened, isolate_unclear=isolate_unclear)
        except Exception:
            failures += 1
            raise

    publish(redis, operator, "1", "2")
    with caplog.at_level(logging.WARNING), running(redis_url, apply) as calls:
        eventually(lambda: failures > 6)  # longer than it is held: released and reclaimed
        appliers[0] = applying(engine)
        eventually(lambda: calls.batches)

    unavailable.dispose()
    assert events(engine) == 2
    assert redis.xlen(STREAM) == 0
    assert set(caplog.messages) == {"database_unavailable"}


def test_stopped_during_an_outage_it_releases_its_batch(redis, redis_url, operator, caplog):
    unavailable = open_engine(
        f"postgresql://nobody@127.0.0.1:{closed_port()}/none", application_name="tests"
    )
    publish(redis, operator, "1")

    with caplog.at_level(logging.WARNING), running(redis_url, applying(unavailable)):
        eventually(lambda: caplog.messages)

    unavailable.dispose()
    (pending,) = redis.xpending_range(STREAM, GROUP, min="-", max="+", count=10)
    assert pending["times_delivered"] == 0
    assert pending["time_since_delivered"] > timedelta(hours=1) / timedelta(milliseconds=1)


def test_a_bug_leaves_the_entries_pending_and_the_loop_running(
    redis, redis_url, engine, operator, caplog
):
    mistakes = [ZeroDivisionError("a mistake in the program")]

    def apply(opened: DecodedBatch, *, isolate_unclear: bool = False) -> Applied:
        if mistakes:
            raise mistakes.pop()
        return applying(engine)(opened, isolate_unclear=isolate_unclear)

    publish(redis, operator, "1")
    with running(redis_url, apply) as calls:
        eventually(lambda: not mistakes)
        publish(redis, operator, "2")
        eventually(lambda: calls.batches)

    assert "intake_failed" in caplog.messages
    assert events(engine) == 1
    assert redis.xpending(STREAM, GROUP)["pending"] == 1


def test_it_outlasts_an_outage_of_redis(servers, redis, redis_url, engine, operator):
    with running(redis_url, applying(engine)) as calls:
        eventually(lambda: calls.turns)
        servers.valkey.stop()
        servers.valkey.start()
        eventually(lambda: is_loaded(redis))
        publish(redis, operator, "1")
        eventually(lambda: calls.batches)

    assert events(engine) == 1


def test_entries_of_a_dead_intake_are_applied_first(redis, redis_url, engine, operator):
    publish(redis, operator, "1")
    redis.xgroup_create(STREAM, GROUP, id="0")
    redis.xreadgroup(GROUP, "dead", {STREAM: ">"})
    eventually(lambda: redis.xpending_range(STREAM, GROUP, "-", "+", 1, idle=400))

    with running(redis_url, applying(engine)) as calls:
        eventually(lambda: calls.batches)

    assert events(engine) == 1
    assert [member["name"] for member in redis.xinfo_consumers(STREAM, GROUP)] == [b"dead"]
