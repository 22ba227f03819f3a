"""Checks the processes: every queue has a worker, and beat starts the rounds of the sweep."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from celery import Celery

from models.sweeps.heartbeat import Round
from worker.doctor.finding import Finding, doubtful, ok, unknown, wrong
from worker.process.queues import DELIVER_QUEUE, INTAKE_QUEUE, SWEEP_QUEUE

CLOCK: Final = "sweep rounds"
ROUNDS_MAX: Final = 3
GRACE: Final = timedelta(seconds=30)  # a round may take 20 s
_RESPONSE_SECONDS: Final = 1.5
_WORK: Final = {
    INTAKE_QUEUE: "applies events",
    DELIVER_QUEUE: "sends notices",
    SWEEP_QUEUE: "closes tickets",
}


def consumers(app: Celery) -> dict[str, list[str]]:
    """Return the workers that consume each queue; those that respond within 1.5 s count."""
    responses: Mapping[str, Any] = (
        app.control.inspect(timeout=_RESPONSE_SECONDS).active_queues() or {}
    )
    workers: dict[str, list[str]] = {queue: [] for queue in _WORK}
    for name, queues in sorted(responses.items()):
        for queue in queues:
            workers.setdefault(queue["name"], []).append(name)
    return workers


def check_workers(workers_by_queue: Mapping[str, list[str]]) -> Iterator[Finding]:
    """Report for each queue whether a worker consumes it."""
    for queue, work in _WORK.items():
        part = f"worker {queue}"
        workers = workers_by_queue.get(queue, [])
        if workers:
            yield ok(part, f"{', '.join(workers)} {work}")
        else:
            yield wrong(
                part,
                f"no worker {work}",
                remedy=f"start one: the line `{queue}` of the Procfile, or `slipway up` for all of"
                " them; it must have this broker (SLIPWAY_BROKER_URL, SLIPWAY_REDIS_URL)",
            )


def check_rounds(
    last: Round | None, *, now: datetime, interval: timedelta, sweepers: bool
) -> Finding:
    """Report whether the sweep still runs its rounds, which beat starts."""
    age = None if last is None else now - last.ended_at
    if last is not None and age is not None and age <= ROUNDS_MAX * interval + GRACE:
        if last.watermark is None:
            return doubtful(
                CLOCK,
                "the last one had no watermark: nothing closes",
                remedy="make Redis reachable for the sweep; an entry from the future stops it, too",
            )
        return ok(CLOCK, f"the last one ended {age.total_seconds():.0f} s ago")
    when = "there has been none yet" if age is None else f"the last one ended {_ago(age)} ago"
    if not sweepers:
        return unknown(CLOCK, f"{when}; they need a worker on `{SWEEP_QUEUE}`")
    return wrong(
        CLOCK,
        f"{when}, although a worker is ready for them",
        remedy="start beat: the line `beat` of the Procfile, or `slipway up` for all of them",
    )


def _ago(age: timedelta) -> str:
    return f"{age.total_seconds():,.0f} s"
