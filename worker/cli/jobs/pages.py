"""Prints jobs, and stops one."""

import json
from collections.abc import Iterator, Sequence

import typer

from models.jobs import Job, JobState, describe_job, find_job, list_jobs, stop_job
from models.operators.interventions import Person
from worker.cli.errors import Failed
from worker.cli.following import follow_job
from worker.cli.output import bounded, moment, remark, show_json, show_table
from worker.cli.triage.display import show_facts
from worker.cli.triage.session import open_session

_STALLED = "nothing was done for a minute: does the sweep run? (`slipway doctor`)"
_ARGUMENTS_MAX = 500  # characters; `--json` prints all of them


def show_jobs(
    states: Sequence[JobState] | None,
    kind: str | None,
    *,
    limit: int,
    before: int | None,
    as_json: bool,
) -> None:
    """Print the newest jobs."""
    with open_session() as session:
        jobs = session.run(
            lambda connection, _: list_jobs(
                connection, states=states, kind=kind, before=before, limit=limit
            )
        )
    if as_json:
        show_json(jobs)
        return
    if not jobs:
        remark("no jobs")
        return
    columns = ("id", "kind", "state", "progress", "refused", "since", "ended", "by", "why")
    show_table(columns, map(_row, jobs))
    if len(jobs) == limit:
        remark(f"there may be more: --before {jobs[-1].id}")


def show_job(job_id: int, *, follow: bool, as_json: bool) -> None:
    """Print one job, once it has ended if *follow*. Raises Failed then unless all was done."""
    with open_session() as session:
        job = session.run(lambda connection, _: find_job(connection, job_id))
        if follow:
            job = follow_job(session, job, stalled=_STALLED)
    if as_json:
        show_json(job)
    else:
        show_facts(_facts(job))
    if follow and (job.state is not JobState.DONE or job.refused):
        raise Failed(f"job {job.id} is {job.state}; {job.refused:,} refused")


def stop(job_id: int, *, who: str, why: str, as_json: bool) -> None:
    """Stop a job, and print what it had done."""
    with open_session() as session:
        job = session.run(
            lambda connection, now: stop_job(connection, job_id, person=Person(who, why), now=now)
        )
    if as_json:
        show_json(job)
        return
    typer.echo(f"job {job.id} stopped after {progress(job)}")


def progress(job: Job) -> str:
    """Return `1,000 of 1,204`."""
    return f"{job.handled:,} of {job.expected}"


def _row(job: Job) -> tuple[str, ...]:
    return (
        str(job.id),
        job.kind,
        job.state,
        progress(job),
        f"{job.refused:,}",
        moment(job.created_at),
        moment(job.ended_at),
        job.who,
        bounded(job.why, 80),
    )


def _facts(job: Job) -> Iterator[tuple[str, str]]:
    yield "job", f"{job.id}, {job.kind}"
    yield "what it does", bounded(describe_job(job), _ARGUMENTS_MAX)
    yield "state", job.state
    yield "started by", f"{job.who}: {job.why}"
    yield "asked for", bounded(json.dumps(dict(job.arguments), ensure_ascii=False), _ARGUMENTS_MAX)
    yield "progress", progress(job)
    yield "done", f"{job.done:,}"
    yield "refused", f"{job.refused:,}"
    for reason, count in sorted(job.reasons.items(), key=lambda counted: -counted[1]):
        yield "  because", f"{reason} ({count:,})"
    yield "left unchanged", f"{job.unchanged:,}"
    yield "pace", "as fast as the sweep allows" if job.pace is None else f"{job.pace:g}/s"
    yield "created", moment(job.created_at)
    yield "last progress", moment(job.progressed_at)
    yield "ended", moment(job.ended_at)
    if job.message is not None:
        yield "message", job.message
