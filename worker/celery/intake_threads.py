"""The threads of an intake: one reads the stream, one moves what comes in by Celery's queue."""

import threading

from celery.worker import WorkController

from worker.celery.dependencies import Dependencies
from worker.intake.celery_queue import CeleryQueue, QueueDrain
from worker.intake.loop import FINISHING_MAX, AppliedBatch, Intake, IntakeConfig
from worker.intake.reports import BatchReports
from worker.intake.stream import Stream, consumer_name
from worker.process.health import probes


class IntakeThreads:
    """Runs the intake of one worker, from `start` to `stop`."""

    def __init__(self, process: Dependencies, worker: WorkController) -> None:
        """Prepare; nothing is connected before `start`."""
        self._process = process
        self._worker = worker
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._reports = BatchReports(worker.app, worker=worker.hostname)

    def start(self) -> None:
        """Start the threads. They wait for servers that are unavailable."""
        process, worker = self._process, self._worker
        self._reports.start()
        metrics = process.intake_metrics

        def report(batch: AppliedBatch) -> None:
            self._reports.add(batch)
            metrics.applied(batch)

        intake = Intake(
            stream=Stream(
                # redis-py must not repeat a read: the entries of the first reply would be stranded.
                process.open_redis(process.settings.redis_url, retries=0),
                consumer=consumer_name(),
                keys=process.stream_keys,
            ),
            applier=process.batch_applier,
            config=IntakeConfig(
                batch_size=process.settings.chunk_size,
                block=process.settings.intake_block,
                claim_idle=process.settings.claim_idle,
            ),
            notify=process.wakeup.notify,
            report=report,
            alive=probes(f"{worker.hostname}.stream").alive,
            tracer=process.tracer,
        )
        runs = {"intake": intake.run}
        if process.stream_keys.queue:
            redis = process.open_redis(process.settings.redis_url, retries=0)
            runs["queue-drain"] = QueueDrain(CeleryQueue(redis, process.stream_keys)).run
        self._threads = [
            threading.Thread(target=run, args=(self._stop,), name=name, daemon=True)
            for name, run in runs.items()
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish the running batches and end."""
        self._stop.set()
        for thread in self._threads:
            thread.join(FINISHING_MAX.total_seconds())
        self._reports.close()
