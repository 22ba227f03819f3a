"""Ends a partnership (rule 24): the mark, and the job that ends its tickets."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from models.jobs.store import start_job
from models.jobs.values import Job
from models.operators.interventions import Person
from models.partnerships.counts import PartnershipCounts
from models.partnerships.end import mark_ended
from models.partnerships.tickets import END_PARTNERSHIP


@dataclass(frozen=True, slots=True)
class PartnershipEnd:
    """What there was when the partnership ended, and the job that ends it."""

    counts: PartnershipCounts
    job: Job


def end_partnership(
    connection: Connection, code: str, *, person: Person, now: datetime
) -> PartnershipEnd:
    """End the partnership with an operator in the caller's transaction, for good.

    From the commit on nothing is sent to its partner and no event of it is applied. The job ends
    its tickets; where it is stopped, the sweep does so without it. Raises OperatorNotFound,
    OperatorEnded.
    """
    ended = mark_ended(connection, code, person=person, now=now)
    job = start_job(connection, END_PARTNERSHIP, {"operator": code}, person=person, now=now)
    return PartnershipEnd(ended.counts, job)
