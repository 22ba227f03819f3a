"""`slipway jobs`: long acts that the sweep carries on, in batches."""

from typing import Annotated, Final

import typer

from models.vocabulary import JobState
from worker.cli.help_pages import command_group
from worker.cli.jobs import pages
from worker.cli.options import NO_REASON, AsJson, By, Why, person_name

LIMIT_MAX: Final = 1000

app = command_group("Long acts that the sweep carries on in batches: progress, and stop.")

JobId = Annotated[int, typer.Argument(metavar="ID", min=1, help="The job's id, as listed.")]


@app.command("list", epilog="Example: slipway jobs list --state running")
def list_jobs(
    *,
    state: Annotated[
        list[JobState] | None,
        typer.Option(help="Only jobs in this state; may be repeated.", show_default="all"),
    ] = None,
    kind: Annotated[
        str | None, typer.Option(metavar="WORD", help="Only this kind, like retry_notices.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=LIMIT_MAX, help="Maximum number of rows.")] = 100,
    before: Annotated[
        int | None,
        typer.Option(
            metavar="ID", min=1, help="Where the previous page ended.", show_default="the newest"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first: what each does, who started it, how far it is."""
    pages.show_jobs(state or None, kind, limit=limit, before=before, as_json=as_json)


@app.command("show", epilog="Example: slipway jobs show 7 --follow")
def show(
    job_id: JobId,
    *,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            help="Show its progress until it ends; exit code 1 unless all of it was done.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show one job: what was asked for, its progress, what was refused and why."""
    pages.show_job(job_id, follow=follow, as_json=as_json)


@app.command("stop", epilog="Example: slipway jobs stop 7 --why 'the wrong operator'")
def stop(job_id: JobId, *, by: By = None, why: Why = NO_REASON, as_json: AsJson = False) -> None:
    """Stop a job between two batches. What it has done stays done."""
    pages.stop(job_id, who=person_name(by), why=why, as_json=as_json)
