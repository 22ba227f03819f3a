"""Stats are collected whatever happens to a server, and scrapes never wait for one."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Connection

from tests.support.closed_port import closed_port
from tests.support.harness import Harness
from tests.support.plain_settings import plain_settings
from tests.support.wait import eventually
from worker.metrics.collector import StatsCollector
from worker.metrics.gauges import Gauges


@dataclass
class Watch:
    """A collector on servers that a test can replace, and what it exports."""

    harness: Harness
    redis: Redis
    broker: Redis | None = None  # None: the same
    now: float = 1_800_000_000.0
    hangs: threading.Event | None = None
    settings: dict[str, str] = field(default_factory=dict)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def collector(self) -> StatsCollector:
        return StatsCollector(
            shown=Gauges(self.registry),
            transaction=self.transaction,
            clock=self.harness.clock,
            redis=self.redis,
            broker=self.broker or self.redis,
            queues={"deliver": ["deliver"]},
            settings=plain_settings(survey_interval="15s", **self.settings),
            wall_clock=lambda: self.now,
        )

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        if self.hangs is not None:
            self.hangs.wait(60)
        with self.harness.engine.begin() as connection:
            yield connection

    def shown(self) -> str:
        return generate_latest(self.registry).decode()


@pytest.fixture
def watch(harness, redis) -> Watch:
    return Watch(harness, redis)


def test_a_redis_without_a_log_is_durable_where_its_provider_keeps_it_so(watch, redis):
    before = redis.config_get("appendonly")["appendonly"]
    redis.config_set("appendonly", "no")
    try:
        watch.collector().collect()
        assert "slipway_redis_append_only 0.0" in watch.shown()

        watch.registry = CollectorRegistry()
        watch.settings["redis_durability"] = "provider"
        watch.collector().collect()
        assert "slipway_redis_append_only 1.0" in watch.shown()
    finally:
        redis.config_set("appendonly", before)
        eventually(lambda: not redis.info("persistence")["aof_rewrite_in_progress"])


def test_an_unavailable_server_is_shown_as_down_and_the_other_as_up(watch, caplog):
    unreachable = f"redis://127.0.0.1:{closed_port()}/0"
    watch.redis = Redis.from_url(unreachable, retry=Retry(NoBackoff(), 0))

    watch.collector().collect()

    shown = watch.shown()
    assert 'slipway_server_up{server="postgresql"} 1.0' in shown
    assert 'slipway_server_up{server="redis"} 0.0' in shown
    assert "slipway_closings_due 0.0" in shown
    assert "slipway_tickets_on_hold 0.0" in shown
    assert "slipway_stream_entries" not in shown
    assert caplog.messages.count("stats_unavailable") == 2


def test_a_server_that_hangs_counts_as_down_and_a_scrape_does_not_wait_for_it(watch):
    collector = watch.collector()
    collector.collect()
    assert 'slipway_server_up{server="postgresql"} 1.0' in watch.shown()
    watch.hangs = threading.Event()

    watch.now += 26  # the interval, and 10 s
    collector.start()
    eventually(lambda: 'slipway_server_up{server="redis"} 1.0' in watch.shown())

    assert 'slipway_server_up{server="postgresql"} 0.0' in watch.shown()
    watch.hangs.set()
    eventually(lambda: 'slipway_server_up{server="postgresql"} 1.0' in watch.shown())
    collector.close()


def test_the_skew_of_the_clocks_is_exported(watch):
    watch.collector().collect()

    (line,) = re.findall(r"^slipway_clock_skew_seconds (.*)$", watch.shown(), re.MULTILINE)
    here = datetime.now(UTC)  # noqa: TID251 - Redis' clock is this machine's
    assert float(line) == pytest.approx((here - watch.harness.now).total_seconds(), abs=5)


REASONS = ("wrong_type", "no_ids_left", "full", "takes_no_writes", "other")


def refused_for(watch: Watch) -> list[str]:
    """The reasons shown with 1."""
    watch.collector().collect()
    samples = re.findall(
        r'^slipway_stream_refused{reason="(\w+)"} (.*)$', watch.shown(), re.MULTILINE
    )
    assert {reason for reason, _ in samples} == set(REASONS)
    return [reason for reason, value in samples if value == "1.0"]


def test_a_redis_that_accepts_events_is_shown_so_and_stores_no_probe(watch):
    assert refused_for(watch) == []
    assert watch.redis.keys("ticket-events") == []


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (lambda it: it.set("ticket-events", "x"), "wrong_type"),
        (lambda it: it.xadd("ticket-events", {"e": "x"}, id=f"{2**64 - 1}-{2**64 - 1}"),
         "no_ids_left"),
    ],
)  # fmt: skip
def test_a_key_that_accepts_no_event_does_not_make_redis_unavailable(watch, trouble, reason):
    trouble(watch.redis)

    assert refused_for(watch) == [reason]
    assert 'slipway_server_up{server="redis"} 1.0' in watch.shown()
    watch.redis.delete("ticket-events")


@pytest.mark.parametrize(
    ("name", "reason"), [("maxmemory", "full"), ("min-replicas-to-write", "takes_no_writes")]
)
def test_a_redis_that_takes_no_writes_is_shown_with_the_reason(watch, name, reason):
    watch.redis.config_set(name, 1)
    try:
        assert refused_for(watch) == [reason]
    finally:
        watch.redis.config_set(name, 0)


def lost(watch: Watch, queue: str) -> float | None:
    watch.collector().collect()
    lost_messages = watch.registry.get_sample_value("slipway_misplaced_messages", {"queue": queue})
    watch.registry = CollectorRegistry()
    return lost_messages


def test_misplaced_messages_are_counted_by_queue(watch):
    assert (lost(watch, "celery"), lost(watch, "slipway.dead")) == (0, 0)
    watch.redis.lpush("celery", "{}")
    watch.redis.lpush("celery\x06\x163", "{}")
    watch.redis.lpush("slipway.dead", "{}")
    watch.redis.lpush("tickets", "{}")  # on the stream's Redis the intake takes it

    assert (lost(watch, "celery"), lost(watch, "slipway.dead")) == (2, 1)
    assert lost(watch, "tickets") is None


def test_messages_on_a_broker_of_its_own_reach_no_stream(watch):
    watch.redis.lpush("tickets", "{}")
    watch.settings |= {"broker_url": "redis://elsewhere:6379/0"}

    assert lost(watch, "tickets") == 1


def test_a_task_without_a_queue_is_counted_on_both_servers_if_the_broker_is_separate(
    watch, redis_url
):
    watch.settings |= {"broker_url": "redis://elsewhere:6379/0"}
    apart = urlsplit(redis_url)._replace(path="/1").geturl()
    with Redis.from_url(apart) as watch.broker:
        watch.broker.lpush("celery", "{}")
        watch.redis.lpush("celery\x06\x163", "{}", "{}")
        lost_messages = lost(watch, "celery")
        watch.broker.flushdb()

    assert lost_messages == 3


def test_an_unavailable_stream_does_not_make_the_broker_unavailable(watch, redis_url):
    watch.settings |= {"broker_url": "redis://elsewhere:6379/0"}
    unreachable = f"redis://127.0.0.1:{closed_port()}/0"
    with Redis.from_url(redis_url) as watch.broker:
        watch.redis = Redis.from_url(unreachable, retry=Retry(NoBackoff(), 0))
        watch.collector().collect()

    assert 'slipway_server_up{server="broker"} 1.0' in watch.shown()
    assert 'slipway_server_up{server="redis"} 0.0' in watch.shown()


def test_two_users_of_one_redis_are_on_the_same_redis(watch):
    watch.redis.lpush("tickets", "{}")
    watch.settings |= {
        "broker_url": "redis://celery:word@here:6379/0",
        "redis_url": "redis://worker:other@here:6379/0",
    }

    assert lost(watch, "tickets") is None


def test_a_key_of_another_type_does_not_make_the_broker_unavailable(watch):
    watch.redis.set("celery", "x")
    watch.collector().collect()

    assert 'slipway_misplaced_messages{queue="celery"} 0.0' in watch.shown()
    assert 'slipway_server_up{server="broker"} 1.0' in watch.shown()
