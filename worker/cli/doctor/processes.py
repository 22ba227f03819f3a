"""Examines the processes: every queue has a worker, and beat lets the sweep do its rounds."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from celery import Celery

from models.sweeps.heartbeat import Round
from worker.cli.doctor.finding import Finding, doubtful, ok, unknown, wrong
from worker.process.queues import DELIVER_QUEUE, INTAKE_QUEUE, SWEEP_QUEUE

CLOCK: Final = "sweep rounds"
ROUNDS_MAX: Final = 3
GRACE: Final = timedelta(seconds=30)  # a round may take 20 s
_ANSWER_SECONDS: Final = 1.5
_DOES: Final = {
    INTAKE_QUEUE: "applies events",
    DELIVER_QUEUE: "sends notices",
    SWEEP_QUEUE: "closes tickets",
}


def consumers(app: Celery) -> dict[str, list[str]]:
    """Ask which workers consume which queue; those that answer within 1.5 s count."""
    answers: Mapping[str, Any] = app.control.inspect(timeout=_ANSWER_SECONDS).active_queues() or {}
    found: dict[str, list[str]] = {queue: [] for queue in _DOES}
    for worker, queues in sorted(answers.items()):
        for queue in queues:
            found.setdefault(queue["name"], []).append(worker)
    return found


def examine_workers(found: Mapping[str, list[str]]) -> Iterator[Finding]:
    """Say for each queue whether somebody consumes it."""
    for queue, does in _DOES.items():
        part = f"worker {queue}"
        workers = found.get(queue, [])
        if workers:
            yield ok(part, f"{', '.join(workers)} {does}")
        else:
            yield wrong(
                part,
                f"nobody {does}",
                mend=f"start one: the line `{queue}` of the Procfile, or `slipway up` for all of"
                " them; it must have this broker (SLIPWAY_BROKER_URL, SLIPWAY_REDIS_URL)",
            )


def examine_rounds(
    last: Round | None, *, now: datetime, interval: timedelta, sweepers: bool
) -> Finding:
    """Say whether the sweep is still asked to do its rounds; that is what beat is for."""
    age = None if last is None else now - last.ended_at
    if last is not None and age is not None and age <= ROUNDS_MAX * interval + GRACE:
        if last.watermark is None:
            return doubtful(
                CLOCK,
                "the last one had no watermark: nothing closes",
                mend="let the sweep reach Redis; an entry from the future would hold it up too",
            )
        return ok(CLOCK, f"the last one ended {age.total_seconds():.0f} s ago")
    when = "there was none yet" if age is None else f"the last one ended {_ago(age)} ago"
    if not sweepers:
        return unknown(CLOCK, f"{when}; without a worker on `{SWEEP_QUEUE}` there is none")
    return wrong(
        CLOCK,
        f"{when}, although a worker waits for them",
        mend="start beat: the line `beat` of the Procfile, or `slipway up` for all of them",
    )


def _ago(age: timedelta) -> str:
    return f"{age.total_seconds():,.0f} s"
