"""Ends the partnership with an operator, and shows how far the end of its tickets is."""

from typing import Final

import typer

from models.jobs import Job, JobState, PartnershipEnd, end_partnership
from models.operators.interventions import Person
from models.partnerships.announcement import announcement, count_words
from models.partnerships.end import preview_end
from worker.cli.errors import Failed
from worker.cli.following import follow_job
from worker.cli.output import as_text, remark, show_json
from worker.cli.triage.report import prompt
from worker.cli.triage.session import open_session

_STALLED: Final = "no ticket has ended for a minute: does the sweep run? (`slipway doctor`)"


def end(code: str, *, confirm: str | None, wait: bool, who: str, why: str, as_json: bool) -> None:
    """Announce what ends, have the code typed, end the partnership and follow its job.

    Raises Failed if the code is not confirmed; then nothing is changed.
    """
    with open_session() as session:
        counts = session.run(lambda connection, now: preview_end(connection, code, now=now))
        for line in announcement(code, counts):
            remark(line)
        _confirm(code, confirm)
        ended = session.run(
            lambda connection, now: end_partnership(
                connection, code, person=Person(who, why), now=now
            )
        )
        job = follow_job(session, ended.job, stalled=_STALLED) if wait else ended.job
    if as_json:
        show_json({"code": code, "counts": ended.counts, "job": job})
        return
    _show(code, ended, job)


def _confirm(code: str, given: str | None) -> None:
    typed = prompt(f"Type {code} to end it: ") if given is None else given
    if typed != code:
        missing = (
            "pass --confirm CODE where nobody can type it"
            if not typed
            else f"{as_text(typed)} is not {code}"
        )
        raise Failed(f"not confirmed ({missing}), so nothing was changed")


def _show(code: str, ended: PartnershipEnd, job: Job) -> None:
    typer.echo(f"the partnership with {code} has ended: nothing more is sent or accepted")
    if not job.has_ended:
        typer.echo(f"job {job.id} ends its tickets ({job.expected}); the sweep carries it on")
    elif job.state is JobState.DONE:
        typer.echo(f"{job.done:,} tickets ended, and nothing is left")
    else:
        reason = "" if job.message is None else f": {job.message}"
        typer.echo(f"job {job.id} {job.state}{reason}; the sweep ends what is left")
    if ended.counts.in_flight:
        remark(f"{count_words(ended.counts.in_flight, 'call')} under way when it ended")
