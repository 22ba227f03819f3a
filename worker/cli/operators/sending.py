"""Sends again what a partner took between two times."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import typer
from sqlalchemy import Connection

from models.jobs import Job, JobState, count_job, start_job
from models.jobs.kinds.send_operator_again import SEND_OPERATOR_AGAIN
from models.operators.interventions import Person
from models.outbox.dead_letters import NotPossible
from models.platform.bounded_count import BoundedCount
from models.platform.errors import InvalidError
from models.platform.timestamps import format_timestamp
from models.platform.typed_times import Past
from worker.cli.errors import Failed
from worker.cli.following import follow_job
from worker.cli.output import as_text, show_json
from worker.cli.triage.report import confirm_many
from worker.cli.triage.session import CommandSession, open_session

_STALLED: Final = "no ticket had its turn for a minute: does the sweep run? (`slipway doctor`)"


@dataclass(frozen=True, slots=True)
class Taken:
    """What is sent again: all that was taken within [since, until), at most *pace* tickets/s."""

    since: Past
    until: Past
    pace: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How the command goes about it."""

    dry_run: bool
    wait: bool
    yes: bool
    as_json: bool


def send_again(code: str, taken: Taken, how: How, *, who: str, why: str) -> None:
    """Count the tickets, ask, start the job and follow it. Raises Failed if it is refused."""
    try:
        _send_again(code, taken, how, person=Person(who, why))
    except (NotPossible, InvalidError) as refusal:
        raise Failed(str(refusal)) from None


def _send_again(code: str, taken: Taken, how: How, *, person: Person) -> None:
    with open_session() as session:
        arguments, count = _count(session, code, taken)
        if how.dry_run:
            _show_count(arguments, count, as_json=how.as_json)
            return
        confirm_many(_sentence(arguments, count), yes=how.yes)
        job = session.run(
            lambda connection, now: start_job(
                connection,
                SEND_OPERATOR_AGAIN.name,
                arguments,
                person=person,
                now=now,
                pace=taken.pace,
            )
        )
        if how.wait:
            job = follow_job(session, job, stalled=_STALLED)
    if how.as_json:
        show_json(job)
    else:
        _show(job)


def _count(session: CommandSession, code: str, taken: Taken) -> tuple[dict[str, str], BoundedCount]:
    def count(connection: Connection, now: datetime) -> tuple[dict[str, str], BoundedCount]:
        arguments = {
            "operator": code,
            "since": format_timestamp(taken.since.time(now)),
            "until": format_timestamp(taken.until.time(now)),
        }
        return arguments, count_job(connection, SEND_OPERATOR_AGAIN.name, arguments, now=now)

    return session.run(count)


def _sentence(arguments: dict[str, str], count: BoundedCount) -> str:
    return (
        f"{arguments['operator']} took notices of {count} tickets from {arguments['since']} until"
        f" before {arguments['until']}: each is sent again from the first of them to its last"
    )


def _show_count(arguments: dict[str, str], count: BoundedCount, *, as_json: bool) -> None:
    if as_json:
        show_json({**arguments, "tickets": count.number, "exact": count.exact})
    else:
        typer.echo(
            as_text(_sentence(arguments, count).replace("each is sent", "each would be sent"))
        )


def _show(job: Job) -> None:
    if not job.has_ended:
        follow = f"`slipway jobs show {job.id} --follow`"
        typer.echo(
            f"job {job.id} sends {job.expected} tickets again; the sweep carries it on: {follow}"
        )
        return
    reason = "" if job.message is None or job.state is JobState.DONE else f": {job.message}"
    typer.echo(as_text(f"job {job.id} {job.state}{reason}; tickets sent again: {job.done:,}"))
    for why, number in job.reasons.items():
        typer.echo(as_text(f"not sent again: {number:,} ({why})"))
