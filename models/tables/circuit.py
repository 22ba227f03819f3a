"""The circuit of a partner: what all deliverers know of its health, and how much it is sent."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Column, Double, ForeignKey, text
from sqlmodel import Field, SQLModel

from models.tables.columns import count, document, moment


class Circuit(SQLModel, table=True):
    """One row per operator. Its lock orders the claims for that operator, and nothing else.

    It is open from `opened_at` until `closed_at`. Whoever claims or records finds it here, so a
    circuit that one deliverer opened is open for all of them.
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
    refused: int = Field(sa_column=count())  # notices refused for good since the last success
    opened_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    reason: str | None = None  # why it was opened last, and what its last probe met
    closed_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    probe_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    probe_youngest: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    # The rate: what is left of its bucket, as of a moment; none: it is full.
    tokens: float = Field(sa_column=Column(Double, nullable=False, server_default=text("0")))
    tokens_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    # By deliverer: {"calls": how many it has in flight, "until": when they must be over}.
    in_flight: dict[str, Any] = Field(default_factory=dict, sa_column=document())
