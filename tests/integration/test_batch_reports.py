"""Reports of the intake's batches to Flower: bounded, summed up, and never blocking."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest
from celery import Celery

from models.intake.apply import Applied
from tests.support.closed_port import closed_port
from tests.support.wait import eventually
from worker.intake.loop import AppliedBatch
from worker.intake.reports import BatchReports


@pytest.fixture
def app(redis_url: str) -> Iterator[Celery]:
    made = Celery("test", broker=redis_url, set_as_current=False)
    yield made
    made.close()


def batch(**outcomes: int) -> AppliedBatch:
    counted = Counter({("ticket_win", outcome): count for outcome, count in outcomes.items()})
    return AppliedBatch(Applied(counted), sum(outcomes.values()), timedelta(milliseconds=7))


def test_batches_between_two_reports_are_summed_up(app, redis):
    channels: list[bytes] = []
    with redis.pubsub() as listener:
        listener.psubscribe("*celeryev*")
        listener.get_message(timeout=60)
        reports = BatchReports(app, worker="intake@test")
        for _ in range(200):
            reports.add(batch(applied=3, duplicate=1))
        reports.start()
        reports.close()

        def last_event() -> bool:
            message = listener.get_message(timeout=0.1)
            channels.append(message["channel"] if message else b"")
            return channels[-1].endswith(b"task.succeeded")

        eventually(last_event)

    kinds = [channel.rpartition(b"task.")[2] for channel in channels if channel]
    assert kinds == [b"received", b"started", b"succeeded"]


def test_without_a_broker_reporting_returns_at_once_and_raises_nothing(caplog):
    app = Celery("test", broker=f"redis://127.0.0.1:{closed_port()}/0", set_as_current=False)
    reports = BatchReports(app, worker="intake@test")
    reports.start()

    reports.add(batch(applied=1))
    eventually(lambda: "batch_report_lost" in caplog.messages)
    reports.add(batch(applied=1))

    reports.close()
    app.close()
