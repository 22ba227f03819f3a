"""The way from the queue `tickets` to the stream: in order, bounded, and nothing is lost."""

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from celery import Celery
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from models.events.event import Entry
from models.events.stream_contract import STREAM
from tests.support.bare_clients import celery_backend
from tests.support.closed_port import closed_port
from tests.support.envelopes import task
from tests.support.ticket_queue import arrived, full, waiting
from tests.support.wait import eventually
from worker.intake.celery_queue import MESSAGES_MAX, CeleryQueue, QueueDrain
from worker.process.stream_keys import KEYS
from worker.sweep.watermark import StreamWatermark

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
BIG = b"x" * 1024 * 1024


@pytest.fixture
def backend(redis_url: str) -> Iterator[Celery]:
    with celery_backend(redis_url) as app:
        yield app


@pytest.fixture
def queue(redis: Redis) -> CeleryQueue:
    return CeleryQueue(redis)


def ids(entries: list[Entry]) -> list[str]:
    return [json.loads(entry.fields[b"event"])["headers"]["id"] for entry in entries]


@contextmanager
def kept(redis: Redis) -> Iterator[None]:
    """Run a drain in a thread; at the end it must stop by itself."""
    stop = threading.Event()
    drain = QueueDrain(CeleryQueue(redis), interval=timedelta(milliseconds=10))
    thread = threading.Thread(target=drain.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive(), "the drain did not stop"


def test_the_most_urgent_moves_first_and_of_those_the_oldest(backend, redis, queue):
    for number, priority in enumerate([9, 0, 6, 3, 9, 0, 6, 3]):
        backend.send_task(
            "ticket_win", queue="tickets", priority=priority, task_id=f"{priority}/{number}"
        )
    assert waiting(redis) == [2, 2, 2, 2]

    queue.drain()

    assert ids(arrived(redis)) == ["0/1", "0/5", "3/3", "3/7", "6/2", "6/6", "9/0", "9/4"]
    assert waiting(redis) == [0, 0, 0, 0]


def test_a_call_moves_a_bounded_number(redis, queue):
    redis.lpush("tickets", *(task(headers={"id": str(n)}) for n in range(MESSAGES_MAX + 70)))

    first, second = queue.drain(), queue.drain()

    assert (first.messages, first.left) == (MESSAGES_MAX, 70)
    assert (second.messages, second.left) == (70, 0)
    assert ids(arrived(redis)) == [str(n) for n in range(MESSAGES_MAX + 70)]


def test_a_call_moves_a_bounded_size(redis, queue):
    redis.lpush("tickets", *[BIG] * 10)

    assert (queue.drain().messages, queue.drain().messages) == (8, 2)


def test_while_redis_is_full_messages_stay_where_they_are(redis, queue):
    redis.lpush("tickets", *(task(headers={"id": str(n)}) for n in range(3)))

    with full(redis):
        refused = queue.drain()

    assert (refused.messages, refused.left) == (0, 3)
    assert refused.refusal is not None
    assert refused.refusal.startswith("OOM")
    assert waiting(redis) == [3, 0, 0, 0]
    queue.drain()
    assert ids(arrived(redis)) == ["0", "1", "2"]


def test_a_key_of_another_kind_stops_nothing(redis, queue):
    redis.set(KEYS.queue[0], "not a list")
    redis.lpush(KEYS.queue[1], task())

    moved = queue.drain()

    assert (moved.messages, moved.left, moved.refusal) == (1, 0, None)


# --- the intake's drain ---


def test_the_drain_outlasts_a_full_redis_and_logs_it_once(redis, caplog):
    redis.lpush("tickets", task())

    with caplog.at_level(logging.WARNING), full(redis), kept(redis):
        eventually(lambda: caplog.messages)
        redis.config_set("maxmemory", 0)
        eventually(lambda: redis.xlen(STREAM) == 1)

    assert caplog.messages == ["celery_queue_drain_interrupted"]


def test_the_drain_outlasts_an_outage(caplog):
    with (
        Redis(port=closed_port(), retry=Retry(NoBackoff(), 0)) as unavailable,
        caplog.at_level(logging.WARNING),
        kept(unavailable),
    ):
        eventually(lambda: caplog.messages)

    assert caplog.messages == ["celery_queue_drain_interrupted"]


# --- a stream that takes nothing ---


@pytest.mark.parametrize("key", ["string", "list", "hash"])
def test_a_key_in_the_place_of_the_stream_loses_no_message(redis, queue, key):
    occupy = {
        "string": lambda: redis.set(STREAM, "x"),
        "list": lambda: redis.rpush(STREAM, "x"),
        "hash": lambda: redis.hset(STREAM, "x", "x"),
    }
    redis.lpush("tickets", *(task(headers={"id": str(n)}) for n in range(3)))
    occupy[key]()

    moved = queue.drain()

    assert (moved.messages, moved.left) == (0, 3)
    assert "WRONGTYPE" in str(moved.refusal)
    assert StreamWatermark(redis).watermark(NOW) is None
    assert waiting(redis) == [3, 0, 0, 0]
    redis.delete(STREAM)
    assert queue.drain().messages == 3
    assert ids(arrived(redis)) == ["0", "1", "2"]


def test_the_last_id_of_the_stream_moves_one_message_and_keeps_the_others(redis, queue):
    last = 2**64 - 1
    redis.xadd(STREAM, {"event": "{}"}, id=f"{last}-{last - 1}")
    redis.lpush("tickets", *(task(headers={"id": str(n)}) for n in range(3)))

    moved, again = queue.drain(), queue.drain()

    assert (moved.messages, moved.left, again.messages, again.left) == (1, 2, 0, 2)
    assert "exhausted" in str(again.refusal)
    assert waiting(redis) == [2, 0, 0, 0]
    assert redis.xlen(STREAM) == 2
