"""The outbox: what each partner is owed, in order, and every attempt to tell it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlmodel import Field, SQLModel

from models.tables.columns import count, document, moment, one_of, word
from models.vocabulary import Action, NoticeEnd


class Notice(SQLModel, table=True):
    """A message a partner is owed. Only the head of its ticket may be claimed (rule 12)."""

    __tablename__ = "notice"
    __table_args__ = (
        UniqueConstraint("ticket", "action", "generation"),
        # The claim: each operator's due heads, whatever waits behind them.
        Index("notice_due", "operator", "due_at", postgresql_where=text("head AND ended IS NULL")),
        # What becomes due when the partner's circuit closes, and its next probe.
        Index(
            "notice_postponed",
            "operator",
            "postponed_at",
            postgresql_where=text("head AND ended IS NULL AND postponed_at IS NOT NULL"),
        ),
        # Creates and reserves nobody answered (rule 10).
        Index(
            "notice_sent_once",
            "created_at",
            postgresql_where=text(
                "action IN ('ticket_create', 'ticket_reserve') AND ended IS NULL"
            ),
        ),
        # What needs a person: `slipway notices dead list`.
        Index("notice_dead", "operator", "ended_at", postgresql_where=text("ended = 'dead'")),
        one_of("action", Action),
        one_of("ended", NoticeEnd),
        CheckConstraint("(ended IS NULL) = (ended_at IS NULL)", name="end_has_its_time"),
        CheckConstraint("(lease IS NULL) = (leased_until IS NULL)", name="lease_is_whole"),
        CheckConstraint("NOT head OR ended IS NULL OR ended = 'dead'", name="head_is_unfinished"),
        # A claim and its record stay on the page; only the due time and the end touch an index.
        {"postgresql_with": {"fillfactor": "75"}},
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    ticket: int = Field(sa_column=Column(BigInteger, ForeignKey("ticket.id"), nullable=False))
    operator: int = Field(sa_column=Column(Integer, nullable=False))  # its ticket's
    number: int  # place in the ticket's order, from 1
    action: str = Field(sa_column=word())
    generation: int  # with ticket and action: what this notice is, once and for all
    event_id: str | None = None  # what caused it; none: the clock, or a refused create
    path: str = Field(sa_column=word(default=""))  # behind the operator's URL (seamless)
    body: str  # the exact text that is signed and sent, on every attempt
    # By which the partner knows a repeat. None: `models.notices.key.plain_key`.
    idempotency_key: str | None = None
    head: bool
    due_at: datetime = Field(sa_column=moment())
    postponed_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    lease: UUID | None = Field(default=None, sa_column=Column(Uuid, nullable=True))
    leased_until: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    claims: int = Field(sa_column=count())
    tries: int = Field(sa_column=count())  # attempts that count against the schedule
    first_tried_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    quiet_until: datetime | None = Field(default=None, sa_column=moment(nullable=True))  # rule 15
    perhaps_delivered: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    ended: str | None = Field(default=None, sa_column=word(nullable=True))
    ended_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    reason: str | None = None  # why it is dead, skipped or withdrawn
    created_at: datetime = Field(sa_column=moment())


class DeliveryAttempt(SQLModel, table=True):
    """One call to a partner: what it answered and what was made of it."""

    __tablename__ = "delivery_attempt"
    __table_args__ = (
        # The health of a partner over the last minutes.
        Index("delivery_attempt_recent", "operator", "recorded_at"),
        one_of("verdict", ("delivered", "again", "unanswered", "dead")),
    )

    notice: int = Field(sa_column=Column(BigInteger, ForeignKey("notice.id"), primary_key=True))
    claim: int = Field(primary_key=True)  # the notice's claim it was made under
    operator: int  # the notice's
    verdict: str = Field(sa_column=word())
    took_ms: int
    http_status: int | None = None
    problem: str | None = None  # what went wrong, in words
    answer: str | None = None  # the first characters of the partner's words
    remarks: dict[str, Any] | None = Field(default=None, sa_column=document(nullable=True))
    recorded_at: datetime = Field(sa_column=moment())
