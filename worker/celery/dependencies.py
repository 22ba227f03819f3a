"""What a process shares among its threads, built at first use and once per process.

Never at import, and never handed over a fork: a connection made before a fork would be used by two
processes at once. Everything else is passed what it needs; only entry points (tasks, the intake's
bootstep) ask here.
"""

import os
import threading
from collections.abc import Callable
from functools import cache
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry
from redis import Redis
from sqlalchemy import Engine

from models.database.engine import open_engine
from models.platform.clock import DatabaseClock
from models.platform.encryption import Vault
from models.settings.settings import Settings, read_settings
from models.telemetry.metrics import new_registry
from worker.celery.application import app
from worker.celery.configuration import BROKER_LISTS
from worker.celery.wakeup import Wakeup
from worker.delivery.loop import DeliveryLoop
from worker.metrics.collector import LOCK_MAX, STATEMENT_MAX, StatsCollector
from worker.metrics.delivery import DeliveryMetrics
from worker.metrics.gauges import Gauges
from worker.metrics.intake import IntakeMetrics
from worker.metrics.sweep import SweepMetrics
from worker.process.redis_client import open_redis as redis_client_at

Built = TypeVar("Built")

_POOL_SIZE: Final = 4  # intake 2, sweep 1, delivery: its claims and its records; with some to spare


def once_per_process(build: Callable[[], Built]) -> Callable[[], Built]:
    """Make *build* run at its first call in each process; later calls get the same object."""
    built: dict[int, Built] = {}
    lock = threading.RLock()

    def get() -> Built:
        with lock:
            process = os.getpid()
            if process not in built:
                built[process] = build()
            return built[process]

    return get


@once_per_process
def settings() -> Settings:
    """Give the settings of this process."""
    return read_settings()


@once_per_process
def engine() -> Engine:
    """Give the engine; it connects when first used."""
    return open_engine(
        settings().database_url, pool_size=_POOL_SIZE, application_name=f"slipway {role()}"
    )


@once_per_process
def clock() -> DatabaseClock:
    """Give the clock that decides for leases and due times."""
    return DatabaseClock()


@once_per_process
def vault() -> Vault:
    """Give what opens the partners' secrets."""
    return Vault.with_keys(settings().secret_key)


@once_per_process
def hints() -> Wakeup:
    """Give what wakes the deliverers."""
    return Wakeup(app, settings().hint_interval)


@once_per_process
def redis_client() -> Redis:
    """Give a client for short commands. One retry: its connection may be from before a restart."""
    return open_redis(settings().redis_url, retries=1)


@once_per_process
def courier() -> DeliveryLoop:
    """Give the one courier of this process; its loop serves all partners."""
    return DeliveryLoop(
        transaction=engine().begin,
        clock=clock(),
        settings=settings(),
        vault=vault(),
        recorded=delivery_metrics().recorded,
        unusable=delivery_metrics().unusable,
    )


@once_per_process
def registry() -> CollectorRegistry:
    """Give what this process shows to Prometheus."""
    return new_registry(role())


@once_per_process
def intake_metrics() -> IntakeMetrics:
    """Give what counts chunks of events."""
    return IntakeMetrics(registry())


@once_per_process
def delivery_metrics() -> DeliveryMetrics:
    """Give what counts attempts."""
    return DeliveryMetrics(registry())


@once_per_process
def sweep_metrics() -> SweepMetrics:
    """Give what counts rounds of the sweep."""
    return SweepMetrics(registry())


@once_per_process
def surveyor() -> StatsCollector:
    """Give what looks at the servers for all processes, with connections of its own."""
    survey = open_engine(
        settings().database_url,
        pool_size=1,
        application_name="slipway survey",
        statement_timeout=STATEMENT_MAX,
        lock_timeout=LOCK_MAX,
    )
    return StatsCollector(
        shown=Gauges(registry()),
        transaction=survey.begin,
        clock=clock(),
        redis=open_redis(settings().redis_url, retries=1),
        broker=open_redis(settings().broker_url, retries=1),
        queues=BROKER_LISTS,
        settings=settings(),
    )


def open_redis(url: str, *, retries: int) -> Redis:
    """Make a client that says which process it belongs to; see `worker.process.redis_client`."""
    return redis_client_at(url, retries=retries, name=f"slipway-{role()}")


@cache
def role() -> str:
    """Name what this process does, by the queues it consumes: `intake`, `deliver`, `sweep`."""
    return "+".join(sorted(app.amqp.queues.consume_from))
