"""An operator's whole row under its lock, for those who change it."""

from sqlmodel import Session

from models.operators.locking import lock_operator
from models.tables.operator import Operator


def locked_operator(session: Session, code: str) -> Operator:
    """Return the operator's row, locked as `lock_operator` does. Raises what that raises."""
    return session.get_one(Operator, lock_operator(session.connection(), code))
