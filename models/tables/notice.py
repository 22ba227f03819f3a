"""The outbox: the notices for each partner, in order, and every attempt to deliver them."""

from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import INET
from sqlmodel import Field, SQLModel

from models.tables.columns import counter_column, json_column, one_of, timestamp_column, word_column
from models.vocabulary import Action, NoticeEnd

# Of a call to a seamless wallet. A quote inside a text is escaped, so no other field looks like it.
TRANSACTION_ID: Final = """substring(body, '"transactionId":"([0-9a-f-]{36})"')"""


class Notice(SQLModel, table=True):
    """A message for a partner. Only the first of its ticket may be claimed (rule 12)."""

    __tablename__ = "notice"
    __table_args__ = (
        # Its identity; an original and its repeats differ in the last column (rules 12, 22).
        Index("notice_identity", "ticket", "action", "generation", "repeat", unique=True),
        # The claim: each operator's due heads, whatever waits behind them.
        Index("notice_due", "operator", "due_at", postgresql_where=text("head AND ended IS NULL")),
        # What becomes due when the partner's circuit closes, and its next probe.
        Index(
            "notice_postponed",
            "operator",
            "postponed_at",
            postgresql_where=text("head AND ended IS NULL AND postponed_at IS NOT NULL"),
        ),
        # Creates and reserves without a response (rule 10).
        Index(
            "notice_sent_once",
            "created_at",
            postgresql_where=text(
                "action IN ('ticket_create', 'ticket_reserve') AND ended IS NULL"
            ),
        ),
        # Dead letters, which need a person: `slipway notices dead list`.
        Index("notice_dead", "operator", "ended_at", postgresql_where=text("ended = 'dead'")),
        # What the partner was not sent, or refused.
        Index(
            "notice_given_up",
            "operator",
            "ended",
            "ended_at",
            postgresql_where=text("ended IN ('skipped', 'withdrawn', 'refused')"),
        ),
        # What the partner does not want, which may be most of its notices.
        Index(
            "notice_not_wanted",
            "operator",
            "ended_at",
            postgresql_where=text("ended = 'not_wanted'"),
        ),
        # The attempts that notices keep: a partner's health over the last minutes, what it took.
        Index("notice_taken", "operator", "ended_at", postgresql_where=text("took_ms IS NOT NULL")),
        # A wallet's transaction id, which says nothing about its ticket: `slipway tickets find`.
        Index("notice_transaction", text(TRANSACTION_ID), postgresql_where=text("path <> ''")),
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
    action: str = Field(sa_column=word_column())
    generation: int  # with ticket, action and repeat: its identity
    repeat: int = Field(sa_column=counter_column())  # rule 22; 0: the original, 1: its first repeat
    # Its cause; None: the clock, a refused create, or a person who had it sent again.
    event_id: str | None = None
    path: str = Field(
        sa_column=word_column(default="")
    )  # appended to the operator's URL (seamless)
    # The exact text that is signed and sent, on every attempt: `models.notices.short_body`.
    body: str
    # By it the partner recognises a repeat. None means `models.notices.key.plain_key`.
    idempotency_key: str | None = None
    head: bool
    due_at: datetime = Field(sa_column=timestamp_column())
    postponed_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    lease: UUID | None = Field(default=None, sa_column=Column(Uuid, nullable=True))
    leased_until: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    claims: int = Field(sa_column=counter_column())
    tries: int = Field(sa_column=counter_column())  # attempts that count towards the schedule
    first_tried_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    quiet_until: datetime | None = Field(
        default=None, sa_column=timestamp_column(nullable=True)
    )  # rule 15
    perhaps_delivered: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    # The partner does not want it: it ends as soon as it is the head (rule 27).
    unwanted: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    ended: str | None = Field(default=None, sa_column=word_column(nullable=True))
    ended_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    reason: str | None = None  # why it is dead, skipped or withdrawn
    created_at: datetime = Field(sa_column=timestamp_column())
    traceparent: str | None = None  # its event's; of a closing, its own or that of the result
    # The call that delivered it, under its last claim, if that was a plain success; each column is
    # as in `DeliveryAttempt`. All attempts are read as `models.outbox.attempts` says.
    sent_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    took_ms: int | None = None  # None: it keeps no call
    http_status: int | None = None
    remote_address: IPv4Address | IPv6Address | None = Field(
        default=None, sa_column=Column(INET, nullable=True)
    )
    answer: str | None = None
    remarks: dict[str, Any] | None = Field(default=None, sa_column=json_column(nullable=True))
    call_traceparent: str | None = None


class DeliveryAttempt(SQLModel, table=True):
    """One call to a partner that its notice does not keep, and how it was classified."""

    __tablename__ = "delivery_attempt"
    __table_args__ = (
        # The health of a partner over the last minutes.
        Index("delivery_attempt_recent", "operator", "recorded_at"),
        one_of("verdict", ("delivered", "again", "unanswered", "dead")),
    )

    notice: int = Field(sa_column=Column(BigInteger, ForeignKey("notice.id"), primary_key=True))
    claim: int = Field(primary_key=True)  # of the notice, under which it was made
    operator: int  # the notice's
    verdict: str = Field(sa_column=word_column())
    took_ms: int
    http_status: int | None = None
    problem: str | None = None  # a description of what went wrong
    answer: str | None = None  # the first characters of the response; more of what failed
    remarks: dict[str, Any] | None = Field(default=None, sa_column=json_column(nullable=True))
    recorded_at: datetime = Field(sa_column=timestamp_column())
    # When the request was signed, by the database's clock; None: none was made. (Or by an earlier
    # release, as the next two.)
    sent_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    # What was connected to. An `inet` has 7 bytes; the port is that of the partner's URL.
    remote_address: IPv4Address | IPv6Address | None = Field(
        default=None, sa_column=Column(INET, nullable=True)
    )
    # Of what is not a plain success: `worker.delivery.response_headers`.
    response_headers: dict[str, Any] | None = Field(
        default=None, sa_column=json_column(nullable=True)
    )
    traceparent: str | None = None  # that the call named to its partner (`Operator.pass_trace`)
