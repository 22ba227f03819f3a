"""Several batches at once, on real servers, but never beside reclaimed entries."""

import threading

import pytest

from models.events.stream_contract import GROUP, STREAM
from models.intake.apply import Applied, DecodedBatch
from tests.support.harness import OPERATOR, Harness
from tests.support.intake_at_work import applying, events, publish, running
from tests.support.wait import eventually


@pytest.fixture
def operator(harness: Harness) -> str:
    return OPERATOR


def test_the_next_batch_starts_while_one_waits_for_the_database(redis, redis_url, engine, operator):
    meeting = threading.Barrier(2)

    def apply(opened: DecodedBatch, *, isolate_unclear: bool = False) -> Applied:
        meeting.wait(60)
        return applying(engine)(opened, isolate_unclear=isolate_unclear)

    publish(redis, operator, "1")
    with running(redis_url, apply) as calls:
        eventually(lambda: meeting.n_waiting)
        publish(redis, operator, "2")
        eventually(lambda: len(calls.batches) == 2)

    assert events(engine) == 2


def test_reclaimed_entries_are_applied_alone(redis, redis_url, engine, operator):
    """H46: entries read beside one that kills its reader would be counted with it."""
    others = threading.Event()
    alone: list[bool] = []

    def apply(opened: DecodedBatch, *, isolate_unclear: bool = False) -> Applied:
        if opened.entries[0].deliveries > 1:
            alone.append(not others.wait(0.2))
        else:
            others.set()
        return applying(engine)(opened, isolate_unclear=isolate_unclear)

    publish(redis, operator, "1")
    redis.xgroup_create(STREAM, GROUP, id="0")
    redis.xreadgroup(GROUP, "dead", {STREAM: ">"})
    eventually(lambda: redis.xpending_range(STREAM, GROUP, "-", "+", 1, idle=400))
    publish(redis, operator, "2")

    with running(redis_url, apply) as calls:
        eventually(lambda: len(calls.batches) == 2)

    assert alone == [True]


def test_stopped_it_finishes_the_running_batch(redis, redis_url, engine, operator):
    begun = threading.Event()

    def apply(opened: DecodedBatch, *, isolate_unclear: bool = False) -> Applied:
        begun.set()
        stopped.wait(60)
        return applying(engine)(opened, isolate_unclear=isolate_unclear)

    publish(redis, operator, "1")
    stopped = threading.Event()
    with running(redis_url, apply):
        begun.wait(60)
        threading.Timer(0.1, stopped.set).start()

    assert events(engine) == 1
    assert redis.xlen(STREAM) == 0
