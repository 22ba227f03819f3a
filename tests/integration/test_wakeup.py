"""Wakeups for the deliverers, and beat's: on a real broker, and without one."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest
from celery import Celery
from celery.beat import ScheduleEntry
from kombu import pools
from redis import Redis
from redis.exceptions import BusyLoadingError

from tests.support.closed_port import closed_port
from tests.support.plain_settings import plain_settings
from tests.support.wait import eventually
from worker.celery import transport
from worker.celery.beat import WakeupScheduler
from worker.celery.configuration import configuration
from worker.celery.wakeup import Wakeup, is_waiting

INTERVAL = timedelta(milliseconds=5)


@pytest.fixture
def make_app() -> Iterator[Callable[[str], Celery]]:
    """Make Celery applications with our settings, and close them."""
    with ExitStack() as endings:

        def made(redis_url: str) -> Celery:
            transport.install()
            app = Celery("test", set_as_current=False)
            app.conf.update(configuration(plain_settings(redis_url=redis_url)), include=[])
            endings.callback(app.close)
            return app

        yield made
    pools.reset()  # type: ignore[no-untyped-call]  # kombu; the pools belong to the process, and the next test has another broker


@pytest.fixture
def app(make_app, redis_url: str) -> Celery:
    return make_app(redis_url)


@pytest.fixture
def wakeup(app: Celery) -> Iterator[Wakeup]:
    made = Wakeup(app, INTERVAL)
    yield made
    made.close()


def test_many_wakeups_become_one_message_while_no_worker_takes_it(wakeup, redis):
    for _ in range(1000):
        wakeup.notify()
    eventually(lambda: redis.llen("deliver"))
    wakeup.notify()
    wakeup.close()

    assert redis.llen("deliver") == 1


def test_a_wakeup_after_the_message_was_taken_is_sent_again(wakeup, redis):
    wakeup.notify()
    eventually(lambda: redis.lpop("deliver"))

    wakeup.notify()

    assert eventually(lambda: redis.llen("deliver")) == 1


def test_a_wakeup_that_comes_too_soon_is_sent_when_the_interval_is_over(app, redis):
    """Its notice may have been committed after the deliverer looked."""
    wakeup = Wakeup(app, timedelta(seconds=1))
    wakeup.notify()
    eventually(lambda: redis.lpop("deliver"))

    wakeup.notify()

    assert redis.llen("deliver") == 0
    assert eventually(lambda: redis.llen("deliver")) == 1
    wakeup.close()


def test_after_an_outage_wakeups_are_sent_again(wakeup, servers, redis):
    wakeup.notify()
    eventually(lambda: redis.lpop("deliver"))
    servers.valkey.stop()
    wakeup.notify()
    servers.valkey.start()

    eventually(lambda: wakeup_arrived(wakeup, redis))


def wakeup_arrived(wakeup: Wakeup, redis: Redis) -> bool:
    wakeup.notify()
    try:
        return redis.llen("deliver") == 1
    except BusyLoadingError:
        return False


def test_without_a_broker_a_wakeup_is_lost_and_its_thread_survives(make_app, caplog):
    wakeup = Wakeup(make_app(f"redis://127.0.0.1:{closed_port()}/0"), INTERVAL)

    with caplog.at_level(logging.WARNING):
        wakeup.notify()
        eventually(lambda: "wakeup_not_sent" in caplog.messages)

    wakeup.close()


def test_an_empty_queue_has_nothing_waiting(app, redis):
    assert not is_waiting(app, "sweep")

    app.send_task("sweep")

    assert is_waiting(app, "sweep")


def test_beat_sends_nothing_to_a_queue_that_no_worker_reads(app, redis):
    """A weekend without workers must not leave a list of wakeups behind."""
    beat = WakeupScheduler(app, lazy=True)
    entry = ScheduleEntry(name="sweep", task="sweep", app=app, schedule=1, options={"expires": 1})

    for _ in range(5):
        beat.apply_entry(entry)

    assert redis.llen("sweep") == 1


def test_without_a_broker_beat_logs_one_line_and_ticks_on(make_app, caplog):
    app = make_app(f"redis://127.0.0.1:{closed_port()}/0")
    entry = ScheduleEntry(name="sweep", task="sweep", app=app, schedule=1)

    WakeupScheduler(app, lazy=True).apply_entry(entry)

    assert [record.message for record in caplog.records] == ["scheduled_task_not_sent"]
    assert caplog.records[0].exc_info is None


def test_beat_keeps_no_file_and_touches_its_probe(app, redis, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    beat = WakeupScheduler(app)

    eventually(lambda: (beat.tick(), redis.llen("sweep"))[1])

    assert set(beat.schedule) == {"sweep", "deliver"}
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["beat.alive"]
    beat.close()
