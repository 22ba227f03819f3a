"""The audit log: who changed what by hand, and why."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Index, text
from sqlmodel import Field, SQLModel

from models.tables.columns import json_column, timestamp_column


class Intervention(SQLModel, table=True):
    """A person's change, for the ticket's history and for audits."""

    __tablename__ = "intervention"
    __table_args__ = (
        Index("intervention_ticket", "ticket"),  # the ticket's history
        # What people did, newest first, by any of these (`models.audit.listing`).
        Index("intervention_at", "at", "id"),
        Index("intervention_who", "who", "at", "id"),
        Index("intervention_did", "did", "at", "id"),
        Index(
            "intervention_operator",
            "operator",
            "at",
            "id",
            postgresql_where=text("operator IS NOT NULL"),
        ),
        # What was done to an operator itself.
        Index(
            "intervention_operator_itself",
            "operator",
            "id",
            postgresql_where=text("ticket IS NULL"),
        ),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    at: datetime | None = Field(default=None, sa_column=timestamp_column(default_now=True))
    who: str
    why: str
    did: str  # the command, as a word: `operator_added`, `notice_skipped`, …
    operator: str | None = None
    ticket: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    facts: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())
