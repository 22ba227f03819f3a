"""Sends one ticket again as soon as nothing of it is unfinished (rule 22)."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, text

from models.jobs.values import Arguments, Job, JobKind, StepResult
from models.operators.interventions import Person
from models.outbox.dead_letters import NotPossible
from models.outbox.repeats import StillUnfinished
from models.platform.bounded_count import BoundedCount
from models.platform.errors import InvalidError
from models.triage.send_again import send_notices_again

LOOKED_EVERY: Final = timedelta(seconds=5)
TICKET_OF: Final = text("""
    SELECT o.code, t.id, t.ticket_id FROM notice n JOIN ticket t ON t.id = n.ticket
      JOIN operator o ON o.id = t.operator WHERE n.id = :notice""")
WAITING: Final = text("""
    SELECT id FROM job
     WHERE ended_at IS NULL AND kind = 'send_again' AND arguments ->> 'ticket' = :ticket
     ORDER BY id LIMIT 1""")


def _count(connection: Connection, arguments: Arguments) -> BoundedCount:  # noqa: ARG001 - the signature of `JobKind.count`
    return BoundedCount(1)


def _prepare(connection: Connection, arguments: Arguments, now: datetime) -> Arguments:  # noqa: ARG001 - the signature of `JobKind.prepare`
    notice = arguments.get("notice")
    if not isinstance(notice, int) or isinstance(notice, bool):
        raise InvalidError("a job that sends a ticket again needs the id of a notice")
    row = connection.execute(TICKET_OF, {"notice": notice}).one_or_none()
    if row is None:
        raise NotPossible(f"there is no notice {notice}")
    waiting = connection.execute(WAITING, {"ticket": str(row.id)}).scalar_one_or_none()
    if waiting is not None:
        raise NotPossible(
            f"job {waiting} already waits to send ticket {row.ticket_id} of {row.code} again; stop"
            " it first if this is to start from another notice"
        )
    return {
        "notice": notice,
        "operator": row.code,
        "ticket": row.id,
        "ticket_id": row.ticket_id,
    }


def _step(connection: Connection, job: Job, now: datetime, limit: int) -> StepResult:  # noqa: ARG001 - the signature of `JobKind.step`
    person = Person(job.who, job.why)
    try:
        done = send_notices_again(
            connection, job.arguments["notice"], person=person, now=now, job=job.id
        )
    except StillUnfinished as refusal:
        return StepResult(finished=False, wait=LOOKED_EVERY, message=str(refusal))
    except NotPossible as refusal:
        reason = str(refusal)
        return StepResult(finished=True, refused=1, reasons=Counter([reason]), message=reason)
    message = f"{len(done.repeats)} notices of ticket {done.ticket_id} go out again"
    return StepResult(finished=True, done=1, due=done.due, message=message)


SEND_AGAIN: Final = JobKind("send_again", count=_count, step=_step, prepare=_prepare)
