"""When the sweep last did its round, for everyone who asks whether the clock is still kept."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Column, Integer
from sqlmodel import Field, SQLModel

from models.tables.columns import moment


class SweepRound(SQLModel, table=True):
    """The last round of the sweep, whichever process did it: one row, moved on by each."""

    __tablename__ = "sweep_round"
    __table_args__ = (CheckConstraint("id = 1", name="is_one_row"),)

    id: int = Field(default=1, sa_column=Column(Integer, primary_key=True, autoincrement=False))
    ended_at: datetime = Field(sa_column=moment())
    # The moment it judged the clock against (rule 17); none: Redis could not tell, nothing closed.
    horizon: datetime | None = Field(default=None, sa_column=moment(nullable=True))
