"""Sends a ticket again now, or has a job do it once nothing of the ticket is unfinished."""

from datetime import datetime

from sqlalchemy import Connection

from models.jobs.kinds.send_again import SEND_AGAIN
from models.jobs.store import start_job
from models.jobs.values import Job
from models.operators.interventions import Person
from models.outbox.repeats import StillUnfinished
from models.outbox.send_again import SentAgain
from models.triage.send_again import send_notices_again


def send_again_or_wait(
    connection: Connection,
    notice_id: int,
    *,
    person: Person,
    now: datetime,
    key: str | None = None,
) -> SentAgain | Job:
    """Send a ticket again from *notice_id* on, or return the job that waits to do that (rule 22).

    Runs inside the caller's transaction. *key*: as `start_job` has it. Raises NotPossible.
    """
    try:
        return send_notices_again(connection, notice_id, person=person, now=now)
    except StillUnfinished:
        return start_job(
            connection, SEND_AGAIN.name, {"notice": notice_id}, person=person, now=now, key=key
        )
