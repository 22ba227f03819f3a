"""What the parts of one process share: its engine, clients, metrics and delivery loop.

Bootsteps and tasks fetch `current()` and pass on what their functions need; nothing else asks for
it. Every part is built at its first use: never at import, and never before a fork, since two
processes would then use one connection at once. What only one kind of worker needs is imported
there, too: an intake that held the deliverer's code would be a third larger.
"""

import gc
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar, overload

from celery import Celery
from prometheus_client import CollectorRegistry
from redis import Redis
from sqlalchemy import Engine

from models.database.engine import open_engine
from models.platform.clock import DatabaseClock
from models.settings.settings import Settings, WorkerSettings, read_settings, read_worker_settings
from models.telemetry.metrics import new_registry
from models.tracing.tracer import Tracer, open_tracer
from worker.celery.application import app
from worker.celery.configuration import BROKER_LISTS, POOL_SIZE
from worker.celery.wakeup import Wakeup
from worker.process.queues import DELIVER_QUEUE
from worker.process.redis_client import open_redis
from worker.process.stream_keys import StreamKeys

if TYPE_CHECKING:  # one kind of worker needs each of them
    from models.intake.apply import BatchApplier
    from models.platform.encryption import Vault
    from worker.delivery.loop import DeliveryLoop
    from worker.intake.finished_count import FinishedCount
    from worker.metrics.collector import StatsCollector
    from worker.metrics.delivery import DeliveryMetrics
    from worker.metrics.intake import IntakeMetrics
    from worker.metrics.sweep import SweepMetrics
    from worker.sweep.round import Sweep

Built = TypeVar("Built")


class shared(Generic[Built]):  # noqa: N801 - used as a decorator, like `property`
    """A property that is built at its first use, once for all threads.

    (`functools.cached_property` takes no lock: two threads could build two.)
    """

    def __init__(self, build: Callable[[Any], Built]) -> None:
        self._build = build
        self._name = build.__name__
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, owner: None, _type: type) -> Self: ...
    @overload
    def __get__(self, owner: "Dependencies", _type: type) -> Built: ...
    def __get__(self, owner: "Dependencies | None", _type: type) -> Self | Built:
        """Build it, and leave it in the owner's `__dict__`, which wins from then on."""
        if owner is None:
            return self
        with owner.lock:
            if self._name not in owner.__dict__:
                owner.__dict__[self._name] = self._build(owner)
            built: Built = owner.__dict__[self._name]
            return built


class Dependencies:
    """The shared parts of one process."""

    def __init__(self, celery_app: Celery, settings: WorkerSettings) -> None:
        """Keep the settings, with the key if the process delivers; nothing is connected."""
        self.app = celery_app
        self.settings = settings
        self.lock = threading.RLock()  # reentrant: one part may need another

    @shared
    def role(self) -> str:
        """What this process does, by the queues it consumes: `intake`, `deliver`, `sweep`."""
        return "+".join(sorted(self.app.amqp.queues.consume_from))

    def consumes(self, queue: str) -> bool:
        """Return whether this process consumes *queue*."""
        return queue in self.role.split("+")

    @property
    def application_name(self) -> str:
        """The name of this process in PostgreSQL."""
        return f"slipway {self.role}"

    @property
    def _settings_with_key(self) -> Settings:
        assert isinstance(self.settings, Settings), "only a process that delivers has the key"
        return self.settings

    @shared
    def engine(self) -> Engine:
        """The engine; it connects when it is first used."""
        return open_engine(
            self.settings.database_url,
            pool_size=POOL_SIZE,
            application_name=self.application_name,
        )

    @shared
    def tracer(self) -> Tracer | None:
        """Makes the spans of this process; None if no traces are exported."""
        tracer = open_tracer(self.role)
        if tracer is not None:
            # As `worker.celery.signals.tune_gc`, before which nobody asked for it.
            gc.collect()
            gc.freeze()
        return tracer

    @shared
    def clock(self) -> DatabaseClock:
        """The clock that decides leases and due times."""
        return DatabaseClock()

    @shared
    def vault(self) -> "Vault":
        """Decrypts the partners' secrets."""
        from models.platform.encryption import Vault  # noqa: PLC0415 - deliver alone loads it

        return Vault.with_keys(self._settings_with_key.secret_key)

    @shared
    def wakeup(self) -> Wakeup:
        """Wakes the delivery processes."""
        redis = self.open_redis(self.settings.broker_url, retries=1)
        return Wakeup(self.app, self.settings.hint_interval, redis=redis)

    @shared
    def stream_keys(self) -> StreamKeys:
        """The keys of the stream."""
        return StreamKeys.of(self.settings)

    @shared
    def redis(self) -> Redis:
        """A client for short commands. It retries once: its connection may predate a restart."""
        return self.open_redis(self.settings.redis_url, retries=1)

    @shared
    def delivery_loop(self) -> "DeliveryLoop":
        """The delivery loop of this process, which serves all partners."""
        from worker.delivery.loop import DeliveryLoop  # noqa: PLC0415 - deliver alone loads it

        return DeliveryLoop(
            transaction=self.engine.begin,
            clock=self.clock,
            settings=self._settings_with_key,
            vault=self.vault,
            recorded=self.delivery_metrics.recorded,
            unusable=self.delivery_metrics.unusable,
            token_called=self.delivery_metrics.token_called,
            tracer=self.tracer,
        )

    @shared
    def batch_applier(self) -> "BatchApplier":
        """Decodes and applies the intake's batches."""
        from models.intake.apply import BatchApplier  # noqa: PLC0415 - intake alone loads it

        return BatchApplier(
            transaction=self.engine.begin,
            clock=self.clock,
            parking_window=self.settings.parking_window,
            event_age_max=self.settings.event_age_max,
        )

    @shared
    def sweep(self) -> "Sweep":
        """Runs the rounds of the sweep."""
        from worker.sweep.round import Sweep  # noqa: PLC0415 - sweep alone loads it
        from worker.sweep.watermark import StreamWatermark  # noqa: PLC0415 - sweep alone loads it

        return Sweep(
            transaction=self.engine.begin,
            clock=self.clock,
            watermark_source=StreamWatermark(self.redis, self.stream_keys),
            settings=self.settings,
            tracer=self.tracer,
        )

    @shared
    def finished_count(self) -> "FinishedCount":
        """Counts what was finished on the stream."""
        from worker.intake.finished_count import FinishedCount  # noqa: PLC0415 - sweep alone loads it

        return FinishedCount(self.redis, self.stream_keys)

    @shared
    def registry(self) -> CollectorRegistry:
        """The metrics that this process exports."""
        return new_registry(self.role)

    @shared
    def intake_metrics(self) -> "IntakeMetrics":
        """Counts batches of events."""
        from worker.metrics.intake import IntakeMetrics  # noqa: PLC0415 - intake alone loads it

        return IntakeMetrics(self.registry)

    @shared
    def delivery_metrics(self) -> "DeliveryMetrics":
        """Counts attempts."""
        from worker.metrics.delivery import DeliveryMetrics  # noqa: PLC0415 - deliver alone loads it

        return DeliveryMetrics(self.registry)

    @shared
    def sweep_metrics(self) -> "SweepMetrics":
        """Counts rounds of the sweep."""
        from worker.metrics.sweep import SweepMetrics  # noqa: PLC0415 - sweep alone loads it

        return SweepMetrics(self.registry)

    @shared
    def stats_collector(self) -> "StatsCollector":
        """Collects stats for the whole system, on connections of its own."""
        from worker.metrics import collector, gauges  # noqa: PLC0415 - sweep alone loads it

        engine = open_engine(
            self.settings.database_url,
            pool_size=collector.POOL_SIZE,
            application_name="slipway stats",
            statement_timeout=collector.STATEMENT_MAX,
            lock_timeout=collector.LOCK_MAX,
        )
        return collector.StatsCollector(
            shown=gauges.Gauges(self.registry),
            transaction=engine.begin,
            clock=self.clock,
            redis=self.open_redis(self.settings.redis_url, retries=1),
            broker=self.open_redis(self.settings.broker_url, retries=1),
            queues=BROKER_LISTS,
            settings=self.settings,
        )

    def open_redis(self, url: str, *, retries: int) -> Redis:
        """Open a client that is named after this process (`worker.process.redis_client`)."""
        return open_redis(
            url, retries=retries, name=f"slipway-{self.role}", stream=self.settings.stream
        )


_by_process: Final[dict[int, Dependencies]] = {}
# Reentrant: `worker_shutting_down` comes from a signal handler, which may interrupt `current`.
_lock: Final = threading.RLock()


def current() -> Dependencies:
    """Return the dependencies of this process. A forked child gets its own."""
    with _lock:
        process = os.getpid()
        if process not in _by_process:
            delivers = DELIVER_QUEUE in app.amqp.queues.consume_from
            settings = read_settings() if delivers else read_worker_settings()
            _by_process[process] = Dependencies(app, settings)
        return _by_process[process]
