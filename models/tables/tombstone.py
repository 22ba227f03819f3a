"""What stays of a ticket that was removed."""

from datetime import datetime

from sqlalchemy import Column, Integer
from sqlmodel import Field, SQLModel

from models.tables.columns import timestamp_column


class Tombstone(SQLModel, table=True):
    """A ticket that ended and was removed: nothing of it is applied any more (rule 29).

    There is one for each ticket that ever ended, so each byte counts: the columns stand in the
    order that pads least, and `erased` is NULL unless it is true, which takes no room. Without a
    foreign key: no operator is ever deleted, and the check would cost as much as the row.
    """

    __tablename__ = "tombstone"

    ended_at: datetime = Field(sa_column=timestamp_column())  # closed or cancelled
    operator: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    ticket_id: str = Field(primary_key=True)
    erased: bool | None = None  # what identified its player was blanked (rule 25)
