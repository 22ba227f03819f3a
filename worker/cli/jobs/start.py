"""Starts what a command would do as a job, which the sweep carries on."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import typer
from sqlalchemy import Connection

from models.jobs import Job, count_job, start_job
from models.operators.interventions import Person
from models.platform.errors import InvalidError
from worker.cli.errors import WrongUsage
from worker.cli.output import show_json
from worker.cli.triage.options import BackgroundOptions, ChangeOptions
from worker.cli.triage.report import confirm_many
from worker.cli.triage.session import CommandSession


def start_in_background(
    session: CommandSession,
    kind: str,
    arguments: Mapping[str, Any],
    *,
    announcement: str,
    change: ChangeOptions,
    background: BackgroundOptions,
) -> None:
    """Count, ask, start the job and say how to follow it. Raises Failed if the answer is no."""
    try:
        count = session.run(lambda connection, now: count_job(connection, kind, arguments, now=now))
    except InvalidError as refusal:
        raise WrongUsage(str(refusal)) from None
    if not count.number:
        if change.as_json:
            show_json(None)
        else:
            typer.echo("nothing matches, so no job was started")
        return
    confirm_many(f"{count} {announcement}", yes=change.yes)

    def start(connection: Connection, now: datetime) -> Job:
        person = Person(change.who, change.why)
        return start_job(connection, kind, arguments, person=person, now=now, pace=background.pace)

    job = session.run(start)
    if change.as_json:
        show_json(job)
        return
    typer.echo(f"job {job.id} started for {job.expected}: `slipway jobs show {job.id} --follow`")
