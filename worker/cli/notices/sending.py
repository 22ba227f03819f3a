"""Sends what was delivered again, for one ticket."""

import typer

from models.jobs import Job
from models.jobs.send_again import send_again_or_wait
from models.operators.interventions import Person
from models.outbox.dead_letters import NotPossible
from models.outbox.send_again import SentAgain
from models.triage.sentences import did_send_again
from worker.cli.errors import Failed
from worker.cli.output import as_text, remark, show_json
from worker.cli.triage.session import open_session


def send_again(notice_id: int, *, who: str, why: str, as_json: bool) -> None:
    """Send a ticket again from this notice on, now or by a job that waits for it.

    Raises Failed if that is not possible.
    """
    with open_session() as session:
        try:
            done = session.run(
                lambda connection, now: send_again_or_wait(
                    connection, notice_id, person=Person(who, why), now=now
                )
            )
        except NotPossible as refusal:
            raise Failed(str(refusal)) from None
    if as_json:
        show_json({"sent_again": None, "job": done} if isinstance(done, Job) else _document(done))
    elif isinstance(done, Job):
        typer.echo(as_text(_waiting(done)))
    else:
        typer.echo(as_text(did_send_again(done)))
        for each in done.left_out:
            remark(f"left out: {each.action} (number {each.number}): {each.why}")


def _document(done: SentAgain) -> dict[str, object]:
    return {"sent_again": done, "job": None}


def _waiting(job: Job) -> str:
    ticket = f"ticket {job.arguments['ticket_id']} of {job.arguments['operator']}"
    return (
        f"{ticket} has notices that are undelivered or dead: job {job.id} sends it again once it"
        f" has none (`slipway jobs show {job.id}`)"
    )
