"""Erasures of players (rule 25): how far each is, and the tickets it still waits for."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Identity, Index, text
from sqlmodel import Field, SQLModel

from models.tables.columns import json_column, one_of, timestamp_column, word_column
from models.vocabulary import ErasurePhase


class StoredErasure(SQLModel, table=True):
    """One player of one operator. It holds the player's id only until it is finished."""

    __tablename__ = "erasure"
    __table_args__ = (
        one_of("phase", ErasurePhase),
        CheckConstraint(
            "(ended_at IS NULL) = (player_id IS NOT NULL)", name="id_is_forgotten_at_the_end"
        ),
        CheckConstraint("(ended_at IS NULL) = (phase <> 'done')", name="end_has_its_time"),
        # One erasure of a player at a time.
        Index(
            "erasure_under_way",
            "operator",
            "player_id",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index("erasure_fingerprint", "fingerprint"),  # was this player erased?
        # Its row changes with every batch.
        {"postgresql_with": {"fillfactor": "50"}},
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    operator: int
    player_id: str | None = None
    fingerprint: str  # a keyed hash of operator and player
    who: str
    phase: str = Field(sa_column=word_column(default=ErasurePhase.SEARCHING))
    positions: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())
    counts: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())
    job: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    started_at: datetime = Field(sa_column=timestamp_column())
    ended_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))


class ErasureTicket(SQLModel, table=True):
    """A ticket that has to end before what names the player in it can be blanked."""

    __tablename__ = "erasure_ticket"
    __table_args__ = (
        # Those whose turn it is to be looked at; the new ones first.
        Index("erasure_ticket_next", "erasure", text("checked_at NULLS FIRST"), "ticket"),
    )

    erasure: int = Field(
        sa_column=Column(BigInteger, ForeignKey("erasure.id", ondelete="CASCADE"), primary_key=True)
    )
    # No foreign key: retention may remove the ticket first.
    ticket: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    # False: only rejected input about it names the player; the rest is another player's.
    whole: bool = Field(sa_column_kwargs={"server_default": "true"})
    checked_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
