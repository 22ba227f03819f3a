"""The circuit of a partner: its health and its rate limit, shared by all delivery processes."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Column, Double, ForeignKey, text
from sqlmodel import Field, SQLModel

from models.tables.columns import counter_column, json_column, timestamp_column


class Circuit(SQLModel, table=True):
    """One row per operator. Its lock orders the claims for that operator, and nothing else.

    It is open from `opened_at` until `closed_at`. Every claim and every record reads it here, so a
    circuit that one delivery process opened is open for all of them.
    """

    __tablename__ = "circuit"
    __table_args__ = (
        CheckConstraint(
            "(probe_at IS NOT NULL) = (opened_at IS NOT NULL AND closed_at IS NULL)",
            name="probed_while_open",
        ),
        CheckConstraint("opened_at IS NOT NULL OR closed_at IS NULL", name="opened_before_closed"),
        # Every claim writes the row: its next versions stay on the page (HOT).
        {"postgresql_with": {"fillfactor": "50"}},
    )

    operator: int = Field(
        sa_column=Column(ForeignKey("operator.id"), primary_key=True, autoincrement=False)
    )
    refused: int = Field(sa_column=counter_column())  # notices refused permanently since a success
    opened_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    reason: str | None = None  # why it was last opened, and the result of its last probe
    closed_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    probe_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    probe_youngest: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    # The rate limit: the tokens left in its bucket at a time; without a time it is full.
    tokens: float = Field(sa_column=Column(Double, nullable=False, server_default=text("0")))
    tokens_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    # By delivery process: {"calls": how many are in flight, "until": when they must be over}.
    in_flight: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())
