"""The intake as a real process: killed while busy it loses nothing, told to stop it ends well."""

import ast
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from redis import Redis
from sqlalchemy import Engine, text

from tests.support.celery_process import celery, end, environment, must_live
from tests.support.harness import OPERATOR, Harness
from tests.support.manual_clock import ManualClock
from tests.support.wait import eventually

WORKER = ("worker", "-n", "intake@test", "-Q", "intake", "-P", "threads", "-c", "1", "-E",
          "--without-gossip", "--without-mingle")  # fmt: skip
TaskEvent = dict[str, Any]

KILLS = 3
EVENTS_PER_KILL = 4_000


@pytest.fixture
def env(tmp_path: Path, database: str, redis_url: str) -> dict[str, str]:
    return environment(
        tmp_path,
        database_url=database,
        redis_url=redis_url,
        intake_block="100ms",
        claim_idle="1s",
        chunk_size="100",
    )


@pytest.fixture
def operator(engine: Engine) -> str:
    Harness(engine, ManualClock()).add_operator()
    return OPERATOR


def publish(redis: Redis, operator: str, numbers: range) -> None:
    with redis.pipeline(transaction=False) as pipe:
        for number in numbers:
            data = {"operator": operator, "ticket_id": f"ticket-{number}"}
            event = {"event_id": f"event-{number}", "action": "ticket_win", "data": data}
            pipe.xadd("ticket-events", {"event": json.dumps(event)})
        pipe.execute()


def applied(engine: Engine) -> int:
    with engine.begin() as connection:
        count: int = connection.execute(text("SELECT count(*) FROM ticket_event")).scalar_one()
    return count


@pytest.mark.slow
def test_killed_while_busy_it_loses_nothing_and_applies_nothing_twice(
    env, tmp_path, redis, engine, operator
):
    log = tmp_path / "intake.log"
    for kill in range(KILLS):
        before = applied(engine)
        publish(redis, operator, range(kill * EVENTS_PER_KILL, (kill + 1) * EVENTS_PER_KILL))
        with celery(*WORKER, env=env, log=log) as worker:
            wait_until_more_are_applied(engine, before, worker, log)
            worker.kill()
            worker.wait()
        assert redis.xlen("ticket-events") > 0, "it was not busy any more"
    with celery(*WORKER, env=env, log=log) as worker:
        eventually(lambda: redis.xlen("ticket-events") == 0)
        code = end(worker)

    published = KILLS * EVENTS_PER_KILL
    assert code == 0
    assert counts(engine, "SELECT outcome, count(*) FROM ticket_event GROUP BY 1") == {
        "applied": published
    }
    assert counts(engine, "SELECT status, count(*) FROM ticket GROUP BY 1") == {
        "resulted": published
    }
    assert counts(engine, "SELECT action, count(*) FROM notice GROUP BY 1") == {
        "ticket_win": published
    }
    assert redis.xinfo_groups("ticket-events")[0]["pending"] == 0


def wait_until_more_are_applied(engine: Engine, before: int, worker, log: Path) -> None:
    def more() -> bool:
        must_live(worker, log)
        return applied(engine) > before

    eventually(more)


def counts(engine: Engine, query: str) -> dict[str, int]:
    with engine.begin() as connection:
        return dict(connection.execute(text(query)).all())


@contextmanager
def heard_events(redis_url: str) -> Iterator[list[TaskEvent]]:
    """Collect the task events named `intake`, as Flower hears them."""
    app = Celery("listener", broker=redis_url, set_as_current=False)
    task_events: list[TaskEvent] = []
    stop = threading.Event()

    def listen() -> None:
        with app.connection_for_read() as connection:
            receiver = app.events.Receiver(connection, handlers={"*": task_events.append})
            with receiver.consumer_context() as (own_connection, _channel, _consumers):
                listening.set()
                while not stop.is_set():
                    try:
                        own_connection.drain_events(timeout=0.1)
                    except TimeoutError:
                        continue

    listening = threading.Event()
    thread = threading.Thread(target=listen)
    thread.start()
    assert listening.wait(60)
    try:
        yield task_events
    finally:
        stop.set()
        thread.join(60)
        app.close()


def of_type(kind: str, events: list[TaskEvent]) -> list[TaskEvent]:
    return [event for event in events if event["type"] == kind]


def results(events: list[TaskEvent]) -> list[dict[str, int]]:
    """What Flower shows as the result of each task."""
    return [ast.literal_eval(event["result"]) for event in of_type("task-succeeded", events)]


@pytest.mark.slow
def test_flower_sees_its_batches_and_sigterm_ends_it_with_code_0(
    env, tmp_path, redis, redis_url, engine, operator
):
    log = tmp_path / "intake.log"
    with (
        heard_events(redis_url) as task_events,
        celery(*WORKER, env=env, log=log) as worker,
    ):
        publish(redis, operator, range(250))
        wait_until_more_are_applied(engine, 249, worker, log)
        eventually(lambda: sum(result["applied"] for result in results(task_events)) == 250)
        code = end(worker)

    received = {event["uuid"]: event["name"] for event in of_type("task-received", task_events)}
    succeeded = {
        event["uuid"]: event["hostname"] for event in of_type("task-succeeded", task_events)
    }
    assert received == dict.fromkeys(succeeded, "intake")
    assert set(succeeded.values()) == {"intake@test"}
    assert sum(result["entries"] for result in results(task_events)) == 250
    assert code == 0
    assert redis.llen("deliver") == 1
    (folder,) = tmp_path.glob("slipway-*")
    assert {file.name for file in folder.iterdir()} == {
        "intake@test.alive",
        "intake@test.stream.alive",
    }
    assert '"event": "worker_stopping"' in log.read_text()
