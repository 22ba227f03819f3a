"""What runs in a Celery worker beside its tasks, as steps of the worker's blueprint.

That blueprint outlives every reconnect to the broker, so the steps do too.
"""

from typing import TYPE_CHECKING

from celery import bootsteps
from celery.exceptions import ImproperlyConfigured
from celery.worker import WorkController

from models.database.engine import require_usable_database
from models.database.session import UnusableDatabase
from models.settings.errors import InvalidSettings
from worker.celery import dependencies
from worker.celery.tasks import RUN_MAX
from worker.metrics.server import MetricsServer
from worker.process.cluster_client import UnusableRedis
from worker.process.health import probes
from worker.process.queues import DELIVER_QUEUE, INTAKE_QUEUE, SWEEP_QUEUE
from worker.process.redis_client import check_redis_at_start

if TYPE_CHECKING:  # one kind of worker needs each of them
    from worker.celery.intake_threads import IntakeThreads
    from worker.delivery.run_starter import RunStarter
    from worker.delivery.wakeup_reader import WakeupReader
    from worker.metrics.collector import StatsCollector


class DatabaseCheck(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery carries no types
    """Refuses to start a worker on a database that it must not work with."""

    def include_if(self, worker: WorkController) -> bool:  # noqa: ARG002 - Celery's signature
        """Check the database before anything else starts. There is nothing to start or stop."""
        process = dependencies.current()
        try:
            require_usable_database(
                process.settings.database_url, application_name=process.application_name
            )
        except UnusableDatabase as refusal:
            raise SystemExit(f"slipway: {refusal}") from None
        return False


class RedisCheck(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery carries no types
    """Refuses to start a worker whose stream or queues cannot live where its settings lead."""

    def include_if(self, worker: WorkController) -> bool:  # noqa: ARG002 - Celery's signature
        """Check Redis before anything else starts. There is nothing to start or stop."""
        process = dependencies.current()
        try:
            check_redis_at_start(process.settings, name=f"slipway-{process.role}")
        except UnusableRedis as refusal:
            raise SystemExit(f"slipway: {refusal}") from None
        return False


class StreamIntake(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery carries no types
    """Runs the intake where the queue `intake` is consumed; stops it after the running batches."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: WorkController, **_newer: object) -> None:
        """Prepare; nothing is connected before `start`."""
        super().__init__(worker)
        self._threads: IntakeThreads | None = None

    def include_if(self, worker: WorkController) -> bool:
        """Return whether this worker is an intake. Raises ImproperlyConfigured if it forks."""
        if INTAKE_QUEUE not in worker.app.amqp.queues.consume_from:
            return False
        if worker.pool_cls.__module__ == "celery.concurrency.prefork":
            raise ImproperlyConfigured(
                "the intake is a thread, and children must not be forked from a process with"
                " threads: start this worker with -P threads (see Procfile)"
            )
        return True

    def start(self, worker: WorkController) -> None:
        """Start the threads. They wait for servers that are unavailable."""
        from worker.celery.intake_threads import IntakeThreads  # noqa: PLC0415 - intake alone loads it

        self._threads = IntakeThreads(dependencies.current(), worker)
        self._threads.start()

    def stop(self, worker: WorkController) -> None:  # noqa: ARG002 - Celery's signature
        """Finish the running batches and end."""
        if self._threads is not None:
            self._threads.stop()
        dependencies.current().wakeup.close()

    terminate = stop  # cold or warm: another process repeats what is cut off


class WokenDelivery(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery carries no types
    """Delivers at wakeups, and while Redis is unavailable, if `deliver` is consumed."""

    def __init__(self, worker: WorkController, **_newer: object) -> None:
        """Prepare; nothing is connected before `start`."""
        super().__init__(worker)
        self._runs: RunStarter | None = None
        self._reader: WakeupReader | None = None

    def include_if(self, worker: WorkController) -> bool:
        """Return whether this worker delivers. It does not start if it could call no partner."""
        if DELIVER_QUEUE not in worker.app.amqp.queues.consume_from:
            return False
        try:
            _ = dependencies.current().delivery_loop  # reads the files that the settings name
        except InvalidSettings as refusal:
            raise SystemExit(f"slipway: {refusal}") from None
        return True

    def start(self, worker: WorkController) -> None:  # noqa: ARG002 - Celery's signature
        """Start to watch and to listen."""
        from worker.delivery.run_starter import RunStarter  # noqa: PLC0415 - deliver alone loads it
        from worker.delivery.wakeup_reader import WakeupReader  # noqa: PLC0415 - as above

        process = dependencies.current()
        self._runs = RunStarter(
            process.delivery_loop, wakeup=process.wakeup.notify, lasting=RUN_MAX
        )
        self._runs.start()
        # A command that is repeated unseen could take a wakeup and lose it.
        broker = process.open_redis(process.settings.broker_url, retries=0)
        self._reader = WakeupReader(broker, wake=self._runs.wake)
        self._reader.start()

    def stop(self, worker: WorkController) -> None:  # noqa: ARG002 - Celery's signature
        """Start no more runs; the current one ends as soon as its requests are answered."""
        if self._reader is not None:
            self._reader.close()
        if self._runs is not None:
            dependencies.current().delivery_loop.stop()
            self._runs.close()

    terminate = stop


class MetricsEndpoint(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery carries no types
    """Serves `/metrics` while the worker lives, also while the broker is unavailable."""

    def __init__(self, worker: WorkController, **_newer: object) -> None:
        """Prepare; nothing listens before `start`."""
        super().__init__(worker)
        self._server: MetricsServer | None = None

    def start(self, worker: WorkController) -> None:
        """Listen."""
        process = dependencies.current()
        self._server = MetricsServer(process.registry, probes=probes(worker.hostname))
        self._server.open(address=process.settings.bind_address, port=process.settings.metrics_port)

    def stop(self, worker: WorkController) -> None:  # noqa: ARG002 - Celery's signature
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    terminate = stop


class StatsCollection(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery carries no types
    """Collects the stats of the whole system where the queue `sweep` is consumed."""

    def __init__(self, worker: WorkController, **_newer: object) -> None:
        """Prepare; nothing is queried before `start`."""
        super().__init__(worker)
        self._collector: StatsCollector | None = None

    def include_if(self, worker: WorkController) -> bool:
        """Return whether this worker sweeps."""
        return SWEEP_QUEUE in worker.app.amqp.queues.consume_from

    def start(self, worker: WorkController) -> None:  # noqa: ARG002 - Celery's signature
        """Start collecting; an unavailable server is shown as down."""
        process = dependencies.current()
        _ = process.sweep  # its code is loaded now, and not by the first round
        self._collector = process.stats_collector
        self._collector.start()

    def stop(self, worker: WorkController) -> None:  # noqa: ARG002 - Celery's signature
        """Stop collecting."""
        if self._collector is not None:
            self._collector.close()

    terminate = stop
