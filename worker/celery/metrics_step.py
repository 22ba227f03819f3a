"""The metrics' place in a Celery worker: a page for each, surveys where the sweep is."""

from celery import bootsteps
from celery.worker import WorkController

from worker.celery import dependencies as wiring
from worker.celery.configuration import SWEEP_QUEUE
from worker.metrics.collector import StatsCollector
from worker.metrics.server import MetricsServer
from worker.process import health


class MetricsPage(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery carries no types
    """Serves `/metrics` for as long as the worker lives, also while the broker is away."""

    def __init__(self, worker: WorkController, **_newer: object) -> None:
        """Prepare; nothing listens before `start`."""
        super().__init__(worker)
        self._page: MetricsServer | None = None

    def start(self, worker: WorkController) -> None:
        """Listen."""
        settings = wiring.settings()
        self._page = MetricsServer(wiring.registry(), probes=health.probes(worker.hostname))
        self._page.open(address=settings.bind_address, port=settings.metrics_port)

    def stop(self, worker: WorkController) -> None:  # noqa: ARG002 - Celery's signature
        """Listen no more."""
        if self._page is not None:
            self._page.close()

    terminate = stop


class Surveys(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery carries no types
    """Surveys the servers, where the queue `sweep` is consumed."""

    def __init__(self, worker: WorkController, **_newer: object) -> None:
        """Prepare; nothing is asked before `start`."""
        super().__init__(worker)
        self._surveyor: StatsCollector | None = None

    def include_if(self, worker: WorkController) -> bool:
        """Say whether this worker sweeps."""
        return SWEEP_QUEUE in worker.app.amqp.queues.consume_from

    def start(self, worker: WorkController) -> None:  # noqa: ARG002 - Celery's signature
        """Begin to look; a server that is away is shown as away."""
        self._surveyor = wiring.surveyor()
        self._surveyor.start()

    def stop(self, worker: WorkController) -> None:  # noqa: ARG002 - Celery's signature
        """Look no more."""
        if self._surveyor is not None:
            self._surveyor.close()

    terminate = stop
