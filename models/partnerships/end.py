"""Ends the partnership with an operator, for good (rule 24)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from models.operators.ended import check_goes_on
from models.operators.interventions import Change, Person, record_intervention
from models.operators.listing import unknown_operator
from models.operators.locking import lock_operator
from models.partnerships.counts import PartnershipCounts, count_partnership

FIND: Final = text("SELECT id, ended_at FROM operator WHERE code = :code")
END: Final = text("UPDATE operator SET ended_at = :now WHERE id = :id")


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
    row = connection.execute(FIND, {"code": code}).one_or_none()
    if row is None:
        raise unknown_operator(connection, code)
    check_goes_on(code, row.ended_at)
    return count_partnership(connection, row.id, now=now)


def mark_ended(
    connection: Connection, code: str, *, person: Person, now: datetime
) -> EndedPartnership:
    """Mark the operator as ended in the caller's transaction; record who did it, why and what.

    From its commit on nothing is claimed or accepted for the operator. Its tickets end in batches
    (`models.partnerships.tickets`). Raises OperatorNotFound, OperatorEnded.
    """
    # NO KEY: nothing that refers to the operator waits, and this waits for no ticket (rule 19).
    operator = lock_operator(connection, code)
    connection.execute(END, {"id": operator, "now": now})
    counts = count_partnership(connection, operator, now=now)
    record_intervention(
        connection,
        Change("partnership_ended", operator=code, facts=counts.as_facts()),
        person=person,
        at=now,
    )
    return EndedPartnership(operator, code, counts)
