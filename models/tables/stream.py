"""What the stream held when it was last counted, and what vanished from it."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Column, Identity, Integer
from sqlmodel import Field, SQLModel

from models.tables.columns import timestamp_column


class LastStreamCount(SQLModel, table=True):
    """The last count of the stream, whichever process made it: one row."""

    __tablename__ = "stream_count"
    __table_args__ = (CheckConstraint("id = 1", name="is_one_row"),)

    id: int = Field(default=1, sa_column=Column(Integer, primary_key=True, autoincrement=False))
    at: datetime = Field(sa_column=timestamp_column())  # by Redis' clock
    birth: int = Field(sa_column=Column(BigInteger, nullable=False))
    added: int = Field(sa_column=Column(BigInteger, nullable=False))
    finished: int = Field(sa_column=Column(BigInteger, nullable=False))
    waiting: int = Field(sa_column=Column(BigInteger, nullable=False))
    first_id: str | None = None
    last_id: str


class StreamLoss(SQLModel, table=True):
    """Entries that vanished from the stream without having been applied."""

    __tablename__ = "stream_loss"

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    noticed_at: datetime = Field(sa_column=timestamp_column())
    since: datetime = Field(sa_column=timestamp_column())  # they were there then, or came later
    cause: str
    entries: int = Field(sa_column=Column(BigInteger, nullable=False))
    first_id: str
    last_id: str
