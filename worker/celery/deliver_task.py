"""The Celery task `deliver`: a hint that something may be due. Losing one costs a second."""

from datetime import timedelta
from typing import Final

from celery import shared_task, signals

from worker.celery import dependencies as wiring
from worker.celery.configuration import DELIVER_QUEUE

RUN_MAX: Final = timedelta(seconds=20)  # then the next hint goes on: Flower sees that runs end


@shared_task(name="deliver", queue=DELIVER_QUEUE, ignore_result=True)  # type: ignore[untyped-decorator]  # Celery is published without types
def deliver(**_newer: object) -> dict[str, int] | None:
    """Deliver until nothing is due, for about 20 s; if there is more by then, hint again.

    None: a run was going on in this process and looks again instead. Flower shows what comes back.
    """
    run = wiring.courier().run(lasting=RUN_MAX)
    if run is None:
        return None
    if run.more:
        wiring.hints().notices_due()
    return dict(run.counts)


def _stop(**_newer: object) -> None:
    """Let the run that is going on end, as soon as its calls are answered."""
    if _delivers():
        wiring.courier().stop()


def _close(**_newer: object) -> None:
    """Record what came of calls that the last run left open."""
    if _delivers():
        wiring.courier().close()


def _delivers() -> bool:
    return DELIVER_QUEUE in wiring.role().split("+")


# Strong receivers: nobody else holds them.
signals.worker_shutting_down.connect(_stop, weak=False)
signals.worker_shutdown.connect(_close, weak=False)
