"""The Celery tasks `deliver` and `sweep`. Both are wakeups: losing one costs a second."""

import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from celery import shared_task, signals

from models.database.errors import UNEXPLAINED, Blame, blame
from models.platform.timestamps import format_timestamp
from worker.celery import dependencies
from worker.celery.dependencies import Dependencies
from worker.process.outage import Outage
from worker.process.queues import DELIVER_QUEUE

if TYPE_CHECKING:
    from worker.sweep.round import SweepResult

log = logging.getLogger(__name__)

RUN_MAX: Final = timedelta(seconds=20)  # then the next wakeup continues; Flower sees that runs end
_watermark_unknown: Final = Outage(log, "watermark_unknown", "watermark_known")


@shared_task(name="deliver", ignore_result=True)  # type: ignore[untyped-decorator]  # Celery is published without types
def deliver(**_newer: object) -> dict[str, int] | None:
    """Deliver until no notice is due, for about 20 s; if there are more by then, wake up again.

    If a run is active in this process, that one polls again instead. Returns the counts of what
    ended here since the last task, by wakeups too, which Flower shows; None without any.
    """
    process = dependencies.current()
    loop = process.delivery_loop
    run = loop.run(lasting=RUN_MAX)
    if run is not None and run.more:
        process.wakeup.notify()
    return dict(loop.take_totals()) or None


@shared_task(name="sweep", ignore_result=True)  # type: ignore[untyped-decorator]  # Celery is published without types
def sweep(**_newer: object) -> dict[str, Any]:
    """Sweep once and return the counts, which Flower shows. Later rounds outlast an outage."""
    from worker.sweep.stream_losses import notice_stream_loss  # noqa: PLC0415 - sweep alone loads it

    process = dependencies.current()
    started_at = time.monotonic()
    try:
        result = process.sweep.round()
        _record_heartbeat(process, result)
        notice_stream_loss(process.finished_count, process.engine.begin)
    except Exception as error:
        blamed = blame(error)
        if blamed is Blame.CONTENT:
            raise
        event = UNEXPLAINED if blamed is Blame.UNCLEAR else "database_unavailable"
        log.warning(event, extra={"error": type(error).__name__})
        return {"waits_for": "database"}
    process.sweep_metrics.swept(result, took=timedelta(seconds=time.monotonic() - started_at))
    if result.due:
        process.wakeup.notify()
    if result.watermark is None:
        _watermark_unknown.failed("no watermark")
    else:
        _watermark_unknown.over()
    return {
        "closed": result.closed,
        "windows_ended": result.windows_ended,
        "creates_abandoned": result.creates_abandoned,
        "ended_with_partner": result.ended_with_partner,
        "forgotten": result.forgotten,
        "bodies_removed": result.bodies_removed,
        "secrets_forgotten": result.secrets_forgotten,
        "job_items": result.job_items,
        "watermark": result.watermark and format_timestamp(result.watermark),
    }


def _record_heartbeat(process: Dependencies, result: "SweepResult") -> None:
    """Record when the round ended: an alert watches its age."""
    from models.sweeps.heartbeat import Round, store_round  # noqa: PLC0415 - sweep alone loads it

    with process.engine.begin() as connection:
        now = process.clock.now(connection)
        store_round(connection, Round(ended_at=now, watermark=result.watermark))


def _stop_delivery(**_newer: object) -> None:
    """Let the current run end as soon as its requests are answered."""
    process = dependencies.current()
    if process.consumes(DELIVER_QUEUE):
        process.delivery_loop.stop()


def _close_delivery(**_newer: object) -> None:
    """Record the results of requests that the last run left open."""
    process = dependencies.current()
    if process.consumes(DELIVER_QUEUE):
        process.delivery_loop.close()


# Strong receivers: nothing else refers to them.
signals.worker_shutting_down.connect(_stop_delivery, weak=False)
signals.worker_shutdown.connect(_close_delivery, weak=False)
