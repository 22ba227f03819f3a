"""What Celery's signals start in our processes: logging, probes, metrics of beat, GC tuning.

Receivers are connected strongly: nothing else refers to them.
"""

import gc
import logging
import sys
from typing import Final

from celery import beat, current_task, signals
from celery.worker.consumer import Consumer
from celery.worker.heartbeat import Heart
from structlog.typing import EventDict, WrappedLogger

from models.settings.settings import read_process_settings
from models.telemetry import logs
from worker.metrics.server import MetricsServer
from worker.process.cluster_client import UnusableRedis
from worker.process.health import probes
from worker.process.redis_client import check_redis_at_start

log = logging.getLogger(__name__)

GC_OBJECTS: Final = 20_000  # before a collection starts; a batch of 500 makes some 6,000


def connect() -> None:
    """Connect the receivers."""
    signals.setup_logging.connect(set_up_logging, weak=False)
    signals.beat_init.connect(serve_beat_metrics, weak=False)
    signals.heartbeat_sent.connect(heartbeat_sent, weak=False)
    signals.worker_ready.connect(worker_ready, weak=False)
    signals.worker_ready.connect(tune_gc, weak=False)
    signals.worker_shutting_down.connect(worker_stopping, weak=False)


def set_up_logging(**_newer: object) -> None:
    """Log to stderr from now on. That this signal has a receiver turns Celery's own set-up off."""
    logs.configure(read_process_settings(), sys.stderr, add=[with_task])


def with_task(_logger: WrappedLogger, _method: str, facts: EventDict) -> EventDict:
    """Add the task in which a line is written: `task_id` and `task_name`."""
    if current_task and current_task.request.id:
        facts["task_id"] = current_task.request.id
        facts["task_name"] = current_task.name
    return facts


def serve_beat_metrics(sender: beat.Service, **_newer: object) -> None:
    """Serve the metrics of beat until the process ends; on a Redis that it cannot use, exit."""
    settings = read_process_settings()
    try:
        check_redis_at_start(settings, name="slipway-beat")
    except UnusableRedis as refusal:
        raise SystemExit(f"slipway: {refusal}") from None
    server = MetricsServer(sender.scheduler.metrics.registry, probes=probes("beat"))
    server.open(address=settings.bind_address, port=settings.metrics_port)


def heartbeat_sent(sender: Heart, **_newer: object) -> None:
    """A worker's event loop is alive."""
    probes(sender.eventer.hostname).alive()


def worker_ready(sender: Consumer, **_newer: object) -> None:
    """A worker began to consume."""
    probes(sender.hostname).ready()
    log.info("worker_ready", extra={"worker": sender.hostname})


def worker_stopping(sender: str, **_newer: object) -> None:
    """A worker, named by *sender*, is stopping."""
    probes(sender).not_ready()
    log.info("worker_stopping", extra={"worker": sender})


def tune_gc(**_newer: object) -> None:
    """Exempt what a worker has loaded from garbage collection, and collect less often.

    What is loaded stays for good: going through Celery's modules and our own again and again is a
    quarter of the intake's cost, since each batch makes thousands of objects and their number is
    what starts a collection. The threshold is raised too: what a batch makes is freed as soon as
    nothing refers to it, and collections that find nothing are a twentieth of the intake's cost.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_OBJECTS, *gc.get_threshold()[1:])
