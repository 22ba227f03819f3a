"""The lock of an operator's row, which every change of one operator takes first."""

from sqlmodel import Session, select

from models.operators.ended import check_goes_on
from models.operators.listing import unknown_operator
from models.tables.operator import Operator


def locked_operator(session: Session, code: str) -> Operator:
    """Return the operator's row, locked FOR NO KEY UPDATE: nothing that refers to it waits.

    Raises OperatorNotFound, OperatorEnded.
    """
    query = select(Operator).where(Operator.code == code).with_for_update(key_share=True)
    row = session.exec(query).one_or_none()
    if row is None:
        raise unknown_operator(session.connection(), code)
    check_goes_on(row)
    return row
