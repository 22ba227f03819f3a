"""Which release no process is older than, as a person said."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Column, Integer
from sqlmodel import Field, SQLModel

from models.tables.columns import timestamp_column


class FinalizedUpgrade(SQLModel, table=True):
    """The upgrade after which none will go back: one row, or none before the first was finalized.

    `slipway migrate --finalize` writes it, and the first migration of an empty database.
    """

    __tablename__ = "finalized_upgrade"
    __table_args__ = (CheckConstraint("id = 1", name="is_one_row"),)

    id: int = Field(default=1, sa_column=Column(Integer, primary_key=True, autoincrement=False))
    revision: str  # every process knows the schema of it
    finalized_at: datetime | None = Field(
        default=None, sa_column=timestamp_column(default_now=True)
    )
