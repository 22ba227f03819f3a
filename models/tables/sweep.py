"""When the sweep last finished a round: shows whether it still runs."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Column, Integer
from sqlmodel import Field, SQLModel

from models.tables.columns import timestamp_column


class SweepRound(SQLModel, table=True):
    """The last round of the sweep, whichever process did it: one row, updated by each."""

    __tablename__ = "sweep_round"
    __table_args__ = (CheckConstraint("id = 1", name="is_one_row"),)

    id: int = Field(default=1, sa_column=Column(Integer, primary_key=True, autoincrement=False))
    ended_at: datetime = Field(sa_column=timestamp_column())
    # The watermark that it closed by (rule 17); None if Redis did not give one: nothing closed.
    horizon: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
