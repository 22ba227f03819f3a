"""What people changed by hand: who, what and why."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Index
from sqlmodel import Field, SQLModel

from models.tables.columns import document, moment


class Intervention(SQLModel, table=True):
    """A person's change through the command line, kept for the ticket's story and for audits."""

    __tablename__ = "intervention"
    __table_args__ = (Index("intervention_ticket", "ticket"),)  # the ticket's story

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    at: datetime | None = Field(default=None, sa_column=moment(default_now=True))
    who: str
    why: str
    did: str  # the command, as a word: `operator_added`, `notice_skipped`, …
    operator: str | None = None
    ticket: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    facts: dict[str, Any] = Field(default_factory=dict, sa_column=document())
