"""Wakeups for the deliverers, sent and taken, and beat's: on a real broker, and without one."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from queue import Queue

import pytest
from celery import Celery
from celery.beat import ScheduleEntry
from kombu import pools
from redis import Redis
from redis.exceptions import BusyLoadingError

from tests.support.closed_port import closed_port
from tests.support.plain_settings import plain_settings
from tests.support.wait import PATIENCE, eventually, pause
from worker.celery import transport
from worker.celery.beat import WakeupScheduler
from worker.celery.configuration import configuration
from worker.celery.wakeup import Wakeup, is_waiting
from worker.delivery.wakeup_reader import WakeupReader
from worker.process.queues import WAKEUPS
from worker.process.redis_client import open_redis

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


@contextmanager
def wakeup_at(app: Celery, redis_url: str, interval: timedelta = INTERVAL) -> Iterator[Wakeup]:
    with open_redis(redis_url, retries=1, name="test") as client:
        made = Wakeup(app, interval, redis=client)
        yield made
        made.close()


@contextmanager
def reader_at(redis_url: str, wake: Callable[[], None]) -> Iterator[None]:
    with open_redis(redis_url, retries=0, name="test") as client:
        reader = WakeupReader(client, wake=wake)
        reader.start()
        yield
        reader.close()


@pytest.fixture
def wakeup(app: Celery, redis_url: str) -> Iterator[Wakeup]:
    with wakeup_at(app, redis_url) as made:
        yield made


def test_many_wakeups_become_one_while_no_process_takes_it(wakeup, redis):
    for _ in range(1000):
        wakeup.notify()
    eventually(lambda: redis.llen(WAKEUPS))
    wakeup.notify()
    wakeup.close()

    assert redis.llen(WAKEUPS) == 1


def test_where_no_process_reads_the_list_one_task_is_sent_as_well(wakeup, redis):
    """Deliverers of an earlier version, during a rollout."""
    wakeup.notify()
    eventually(lambda: redis.llen(WAKEUPS))
    assert redis.llen("deliver") == 0

    def is_sent() -> bool:
        wakeup.notify()
        return bool(redis.llen("deliver"))

    eventually(is_sent)
    wakeup.notify()
    wakeup.close()

    assert (redis.llen("deliver"), redis.llen(WAKEUPS)) == (1, 1)


def test_where_the_list_is_another_key_the_task_is_sent(wakeup, redis):
    redis.set(WAKEUPS, "no list")

    wakeup.notify()

    assert eventually(lambda: redis.llen("deliver")) == 1


def test_a_wakeup_after_the_last_was_taken_is_sent_again(wakeup, redis):
    wakeup.notify()
    eventually(lambda: redis.lpop(WAKEUPS))

    wakeup.notify()

    assert eventually(lambda: redis.llen(WAKEUPS)) == 1
    assert redis.llen("deliver") == 0


def test_a_wakeup_that_comes_too_soon_is_sent_when_the_interval_is_over(app, redis, redis_url):
    """Its notice may have been committed after the deliverer looked."""
    interval = timedelta(seconds=1)
    with wakeup_at(app, redis_url, interval) as wakeup:
        began = time.monotonic()
        wakeup.notify()
        eventually(lambda: redis.lpop(WAKEUPS))

        wakeup.notify()

        assert eventually(lambda: redis.llen(WAKEUPS)) == 1
        assert time.monotonic() - began >= interval.total_seconds()


@pytest.fixture
def taken(redis_url: str) -> Iterator[Queue[str]]:
    """What a reader has taken; it reads until the test ends."""
    woken: Queue[str] = Queue()
    with reader_at(redis_url, lambda: woken.put("woken")):
        yield woken


def test_each_wakeup_is_taken_by_the_process_that_waits_without_a_task(wakeup, redis, taken):
    for _ in range(3):
        wakeup.notify()
        taken.get(timeout=PATIENCE.total_seconds())

    wakeup.close()
    eventually(lambda: redis.llen(WAKEUPS) == 0)
    assert redis.llen("deliver") == 0


def test_after_an_outage_wakeups_are_taken_again(wakeup, servers, taken, caplog):
    with caplog.at_level(logging.INFO):
        wakeup.notify()
        taken.get(timeout=PATIENCE.total_seconds())
        servers.valkey.stop()
        eventually(lambda: "wakeups_not_read" in caplog.messages)
        servers.valkey.start()

        def arrives() -> bool:
            wakeup.notify()
            return not taken.empty()

        eventually(arrives)

    assert "wakeups_read_again" in caplog.messages


def test_a_reader_is_closed_at_any_moment_without_an_error(redis_url):
    """Pytest fails a test in whose time a thread ended by an exception."""
    for number in range(20):
        with reader_at(redis_url, lambda: None):
            pause(number / 1000)


def test_a_reader_whose_list_is_another_key_goes_on_when_it_is_put_right(redis, taken, caplog):
    redis.set(WAKEUPS, "no list")
    with caplog.at_level(logging.WARNING):
        eventually(lambda: "wakeups_not_read" in caplog.messages)
    redis.delete(WAKEUPS)

    redis.lpush(WAKEUPS, "1")

    taken.get(timeout=PATIENCE.total_seconds())


def test_after_an_outage_wakeups_are_sent_again(wakeup, servers, redis):
    wakeup.notify()
    eventually(lambda: redis.lpop(WAKEUPS))
    servers.valkey.stop()
    wakeup.notify()
    servers.valkey.start()

    eventually(lambda: wakeup_arrived(wakeup, redis))


def wakeup_arrived(wakeup: Wakeup, redis: Redis) -> bool:
    wakeup.notify()
    try:
        return redis.llen(WAKEUPS) == 1
    except BusyLoadingError:
        return False


def test_without_a_broker_a_wakeup_is_lost_and_its_thread_survives(make_app, caplog):
    nowhere = f"redis://127.0.0.1:{closed_port()}/0"
    with wakeup_at(make_app(nowhere), nowhere) as wakeup, caplog.at_level(logging.WARNING):
        wakeup.notify()
        eventually(lambda: "wakeup_not_sent" in caplog.messages)


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
