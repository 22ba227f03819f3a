"""The place of `TimedRuns` in a Celery worker: where the queue `deliver` is consumed.

In the blueprint of the worker, which outlives every loss of the broker.
"""

from celery import bootsteps
from celery.worker import WorkController

from worker.celery import dependencies as wiring
from worker.celery.configuration import DELIVER_QUEUE
from worker.celery.deliver_task import RUN_MAX
from worker.delivery.timed_runs import TimedRuns


class TimedDelivery(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery carries no types
    """Keeps deliveries going while Redis is away."""

    def __init__(self, worker: WorkController, **_newer: object) -> None:
        """Prepare; nothing is connected before `start`."""
        super().__init__(worker)
        self._runs: TimedRuns | None = None

    def include_if(self, worker: WorkController) -> bool:
        """Say whether this worker delivers."""
        return DELIVER_QUEUE in worker.app.amqp.queues.consume_from

    def start(self, worker: WorkController) -> None:  # noqa: ARG002 - Celery's signature
        """Begin to watch."""
        self._runs = TimedRuns(wiring.courier(), hint=wiring.hints().notices_due, lasting=RUN_MAX)
        self._runs.start()

    def stop(self, worker: WorkController) -> None:  # noqa: ARG002 - Celery's signature
        """Start no run any more; one that is going on ends as soon as its calls are answered."""
        if self._runs is not None:
            wiring.courier().stop()
            self._runs.close()

    terminate = stop
