"""The lock of an operator's row, which every change of one operator takes first."""

from typing import Final

from sqlalchemy import Connection, text

from models.operators.ended import check_goes_on
from models.operators.listing import unknown_operator

LOCK: Final = text("SELECT id, code, ended_at FROM operator WHERE code = :code FOR NO KEY UPDATE")


def lock_operator(connection: Connection, code: str) -> int:
    """Lock the operator's row FOR NO KEY UPDATE and return its id: what refers to it goes on.

    Raises OperatorNotFound, OperatorEnded.
    """
    row = connection.execute(LOCK, {"code": code}).one_or_none()
    if row is None:
        raise unknown_operator(connection, code)
    check_goes_on(row.code, row.ended_at)
    operator: int = row.id
    return operator
