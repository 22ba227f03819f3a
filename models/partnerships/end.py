"""Ends the partnership with an operator, for good (rule 24)."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection
from sqlmodel import select

from models.database.rows import rows_within
from models.operators.ended import check_goes_on
from models.operators.interventions import Change, Person, record_intervention
from models.operators.listing import unknown_operator
from models.operators.locking import locked_operator
from models.partnerships.counts import PartnershipCounts, count_partnership
from models.tables.operator import Operator


@dataclass(frozen=True, slots=True)
class EndedPartnership:
    """An operator whose partnership has just ended, and what it had then."""

    operator: int
    code: str
    counts: PartnershipCounts


def preview_end(connection: Connection, code: str, *, now: datetime) -> PartnershipCounts:
    """Return what the end of the partnership would end now; nothing is changed or locked.

    Raises OperatorNotFound, OperatorEnded.
    """
    with rows_within(connection) as session:
        row = session.exec(select(Operator).where(Operator.code == code)).one_or_none()
        if row is None:
            raise unknown_operator(connection, code)
        check_goes_on(row)
        assert row.id is not None, "it is stored"
        operator = row.id
    return count_partnership(connection, operator, now=now)


def mark_ended(
    connection: Connection, code: str, *, person: Person, now: datetime
) -> EndedPartnership:
    """Mark the operator as ended in the caller's transaction; record who did it, why and what.

    From its commit on nothing is claimed or accepted for the operator. Its tickets end in batches
    (`models.partnerships.tickets`). Raises OperatorNotFound, OperatorEnded.
    """
    with rows_within(connection) as session:
        # NO KEY: nothing that refers to the operator waits, and this waits for no ticket (rule 19).
        row = locked_operator(session, code)
        assert row.id is not None, "it is stored"
        row.ended_at = now
        session.flush()
        operator = row.id
    counts = count_partnership(connection, operator, now=now)
    record_intervention(
        connection,
        Change("partnership_ended", operator=code, facts=counts.as_facts()),
        person=person,
        at=now,
    )
    return EndedPartnership(operator, code, counts)
