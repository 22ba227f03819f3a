"""Sessions of SQLModel, for reading and writing single rows off the hot path."""

from sqlalchemy import Connection
from sqlmodel import Session


def rows_within(connection: Connection) -> Session:
    """Return a session that works inside the caller's transaction.

    Flush what was changed before it is closed. Closing it neither commits nor rolls back, also
    where the caller has set a savepoint: the transaction stays the caller's.
    """
    return Session(connection, join_transaction_mode="rollback_only", expire_on_commit=False)
