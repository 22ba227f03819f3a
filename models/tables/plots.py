"""What the console's plots show, computed by the sweep so that no page reads all attempts."""

from datetime import datetime

from sqlalchemy import ARRAY, CheckConstraint, Column, DateTime, ForeignKey, Integer
from sqlmodel import Field, SQLModel

from models.tables.columns import timestamp_column


class PartnerMinute(SQLModel, table=True):
    """The attempts of one operator in one minute; there is no row for a minute without any."""

    __tablename__ = "partner_minute"

    operator: int = Field(
        sa_column=Column(Integer, ForeignKey("operator.id"), primary_key=True, nullable=False)
    )
    minute: datetime = Field(sa_column=Column(DateTime(timezone=True), primary_key=True))
    delivered: int
    failed: int  # any other verdict
    p50_ms: int | None = None  # how long requests took; None: none was made
    p99_ms: int | None = None
    max_ms: int | None = None


class PlotProgress(SQLModel, table=True):
    """How far the sweep has come, and the closings ahead: one row."""

    __tablename__ = "plot_progress"
    __table_args__ = (CheckConstraint("id = 1", name="is_one_row"),)

    id: int = Field(default=1, sa_column=Column(Integer, primary_key=True, autoincrement=False))
    # Every minute in [since, until) has been computed; before *since* some may be missing.
    minutes_since: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    minutes_until: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    # When the closings ahead were counted last, how long that took, where the first step begins,
    # and the number in each step. NULL: they could not be counted.
    closings_counted_at: datetime | None = Field(
        default=None, sa_column=timestamp_column(nullable=True)
    )
    closings_took_ms: int | None = None
    closings_from: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    closings: list[int] | None = Field(default=None, sa_column=Column(ARRAY(Integer)))
