"""The Celery queue on a real server: a bare Celery application, a kombu producer, the drain."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from celery import Celery
from redis import Redis

from models.intake.apply import BatchApplier
from models.platform.clock import DatabaseClock
from tests.support.bare_clients import celery_backend, produce, put
from tests.support.envelopes import task
from tests.support.harness import OPERATOR, PARKING_WINDOW, Harness
from tests.support.records import Records
from tests.support.ticket_queue import arrived, waiting
from tests.support.wait import eventually
from worker.intake.celery_queue import CeleryQueue, QueueDrain
from worker.intake.loop import Intake, IntakeConfig
from worker.intake.stream import Stream

CONFIG = IntakeConfig(
    batch_size=100, block=timedelta(milliseconds=200), claim_idle=timedelta(seconds=5)
)
BIG = b"x" * 1024 * 1024


@pytest.fixture
def backend(redis_url: str) -> Iterator[Celery]:
    with celery_backend(redis_url) as app:
        yield app


@pytest.fixture
def queue(redis: Redis) -> CeleryQueue:
    return CeleryQueue(redis)


def facts(ticket_id: str = "T", **more: object) -> dict[str, object]:
    return {"operator": OPERATOR, "ticket_id": ticket_id, **more}


def test_a_task_sent_by_any_celery_application_is_the_event(
    backend, redis, queue, harness, records
):
    at = harness.now - timedelta(seconds=5)
    data = facts(net_payout=500, occurred_at=at.isoformat(), sequence=1)
    backend.send_task("ticket_win", kwargs=data, queue="tickets", task_id="win-1")

    assert queue.drain().messages == 1
    assert waiting(redis) == [0, 0, 0, 0]
    harness.publish(*arrived(redis))

    (event,) = records.events()
    assert (event.event_id, event.action, event.sequence) == ("win-1", "ticket_win", 1)
    assert records.data(event.event_id) == facts(net_payout=500)
    assert event.occurred_at == at
    assert records.standing() == "resulted/won"


def test_a_task_may_carry_its_data_as_one_positional_object(
    backend, redis, queue, harness, records
):
    backend.send_task("ticket_lost", args=[facts()], queue="tickets")

    queue.drain()
    harness.publish(*arrived(redis))

    assert records.standing() == "resulted/lost"


def test_a_publisher_s_retry_under_the_same_task_id_counts_once(
    backend, redis, queue, harness, records
):
    for _ in range(2):
        backend.send_task("ticket_win", kwargs=facts(), queue="tickets", task_id="win-1")

    queue.drain()
    harness.publish(*arrived(redis))

    assert [(event.outcome, event.repeats) for event in records.events()] == [("applied", 1)]


def test_a_plain_kombu_message_is_the_event_itself(redis_url, redis, queue, harness, records):
    at = harness.now - timedelta(seconds=5)
    opened = at - timedelta(seconds=5)
    produce(
        redis_url,
        {"event_id": "e-1", "action": "ticket_open", "occurred_at": opened, "data": facts()},
    )
    won = {"event_id": "e-2", "action": "ticket_win", "occurred_at": at, "data": facts()}
    produce(redis_url, won, declared=True)
    put(redis_url, {"event_id": "e-3", "action": "ticket_rollback", "data": facts()})

    queue.drain()
    harness.publish(*arrived(redis))

    assert records.outcomes() == [
        ("ticket_open", "applied"),
        ("ticket_win", "applied"),
        ("ticket_rollback", "applied"),
    ]
    assert records.event("e-2").occurred_at == at


@pytest.mark.parametrize("times", [{"countdown": 60}, {"eta": "2027-01-01"}, {"expires": 60}])
def test_a_task_with_a_time_of_its_own_is_kept_as_rejected(
    backend, redis, queue, harness, records, times
):
    backend.send_task("ticket_win", kwargs=facts(), queue="tickets", **times)
    (sent,) = redis.lrange("tickets", 0, -1)

    queue.drain()
    harness.publish(*arrived(redis))

    (rejected,) = records.rejected()
    assert (rejected.kind, rejected.reason, rejected.raw) == ("CELERY", "timed", sent)
    assert "eta, countdown and expires are not supported" in rejected.message
    assert records.tickets() == []


MALFORMED = [
    b"",
    b"\xff\x00",
    b"not json",
    b"[]",
    b"null",
    json.dumps({"action": "ticket_win", "data": {"operator": OPERATOR, "ticket_id": "T"}}).encode(),
    task(properties={"delivery_tag": ...}),
    task(properties={"delivery_info": {}}),
    task(headers={"id": ...}),
    task("no_such_task"),
    task(kwargs=["not", "an", "object"]),
    task(args=["positional", "T"]),
    task(content_type="application/x-python-serialize"),
    task(body="not base64"),
    task(headers={"compression": "application/x-bz2"}),
    task(kwargs={"operator": OPERATOR}),
    task(kwargs={"operator": OPERATOR, "ticket_id": "a\x00"}),
    b"[" * 100_000,
    BIG,
]


def test_malformed_messages_are_kept_and_the_good_one_behind_them_is_applied(
    redis, queue, harness, records
):
    """Each of these stops, or is lost by, a worker that runs them as tasks."""
    good = task("ticket_win", kwargs=facts())
    redis.lpush("tickets", *MALFORMED, good)

    queue.drain()
    harness.publish(*arrived(redis))

    assert records.standing() == "resulted/won"
    assert sorted(rejected.raw for rejected in records.rejected()) == sorted(MALFORMED)
    assert {rejected.kind for rejected in records.rejected()} == {"CELERY"}


def test_a_task_sent_while_the_intake_runs_is_applied_at_once(
    backend, redis_url, engine, harness: Harness, records: Records
):
    stop = threading.Event()
    with Redis.from_url(redis_url) as client, Redis.from_url(redis_url) as other:
        intake = Intake(
            stream=Stream(client, consumer="under-test"),
            applier=BatchApplier(engine.begin, DatabaseClock(), parking_window=PARKING_WINDOW),
            config=CONFIG,
            notify=lambda: None,
            report=lambda batch: None,  # noqa: ARG005 - no report is needed
            alive=lambda: None,
        )
        threads = [
            threading.Thread(target=run, args=(stop,))
            for run in (intake.run, QueueDrain(CeleryQueue(other)).run)
        ]
        for thread in threads:
            thread.start()
        for number in range(3):
            backend.send_task("ticket_win", kwargs=facts(str(number)), queue="tickets")
        try:
            eventually(lambda: len(records.tickets()) == 3)
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)

    assert [records.standing(str(number)) for number in range(3)] == ["resulted/won"] * 3
