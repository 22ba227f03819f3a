"""Operators (the partners) and the publishers of their events."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CheckConstraint, Column, ForeignKey, Identity, Integer, text
from sqlmodel import Field, SQLModel

from models.tables.columns import Seconds, json_column, one_of, timestamp_column, word_column
from models.vocabulary import PROTOCOLS


class Operator(SQLModel, table=True):
    """A partner: where its notices go, how they are signed, how long its tickets stay open."""

    __tablename__ = "operator"
    __table_args__ = (
        one_of("protocol", PROTOCOLS),
        one_of("lottery_ticket", ("ticket", "ticket+draw")),
        CheckConstraint("close_delay >= interval '0'", name="close_delay_not_negative"),
        CheckConstraint("in_flight BETWEEN 1 AND 10000", name="in_flight_sane"),
        CheckConstraint("rate > 0", name="rate_positive"),
        CheckConstraint(
            "(next_secret IS NULL) = (switch_at IS NULL)"
            " AND (next_secret IS NULL) = (forget_at IS NULL)",
            name="exchange_is_whole",
        ),
        CheckConstraint("switch_at <= forget_at", name="exchange_in_order"),
    )

    id: int | None = Field(default=None, sa_column=Column(Integer, Identity(), primary_key=True))
    code: str = Field(sa_column_kwargs={"unique": True})
    protocol: str = Field(sa_column=word_column())
    url: str
    secret: str = Field(repr=False)  # encrypted: `models.platform.encryption`
    # While a secret is rotated (`models.operators.secrets`): the new one, encrypted, when it begins
    # to sign, and when the old one is no longer accepted.
    next_secret: str | None = Field(default=None, repr=False)
    switch_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    forget_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    agent: str | None = None  # our name at the seamless wallet
    # Seamless: calls are signed with the secret (PAM's always are).
    sign_calls: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    close_delay: timedelta = Field(
        sa_column=Column(Seconds, nullable=False, server_default=text("interval '24 hours'"))
    )
    announces_tickets: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    rate: float | None = None  # notices per second; None: as fast as it responds
    in_flight: int = Field(default=32, sa_column_kwargs={"server_default": "32"})
    # What calls carry for the gateway in front of the partner (`models.operators.access`):
    # encrypted, with what may be shown of it; and what replaces it from a moment on.
    access: str | None = Field(default=None, repr=False)
    access_facts: dict[str, Any] | None = Field(default=None, sa_column=json_column(nullable=True))
    next_access: str | None = Field(default=None, repr=False)
    next_access_facts: dict[str, Any] | None = Field(
        default=None, sa_column=json_column(nullable=True)
    )
    access_switch_at: datetime | None = Field(
        default=None, sa_column=timestamp_column(nullable=True)
    )
    # How notices are sent, where it is not as for everyone (`models.operators.delivery_terms`).
    user_agent: str | None = None
    timeout: timedelta | None = Field(default=None, sa_column=Column(Seconds, nullable=True))
    retry_schedule: str | None = None
    retry_limit: timedelta | None = Field(default=None, sa_column=Column(Seconds, nullable=True))
    taken: str | None = None
    create_taken: str | None = None
    success_json: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    success_text: str | None = None
    wants: str | None = None
    pass_trace: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    keep_bodies: timedelta | None = Field(default=None, sa_column=Column(Seconds, nullable=True))
    timezone: str = Field(sa_column=word_column(default="UTC"))
    lottery_ticket: str = Field(sa_column=word_column(default="ticket"))
    disabled_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    # The partnership is over, for good (rule 24).
    ended_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    created_at: datetime | None = Field(default=None, sa_column=timestamp_column(default_now=True))


class PublisherAccount(SQLModel, table=True):
    """A publisher and the hash of its key for the gateway; without an operator it may name any."""

    __tablename__ = "publisher"

    id: int | None = Field(default=None, sa_column=Column(Integer, Identity(), primary_key=True))
    name: str = Field(sa_column_kwargs={"unique": True})
    key_hash: str = Field(repr=False, sa_column_kwargs={"unique": True})
    read_only: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    created_at: datetime | None = Field(default=None, sa_column=timestamp_column(default_now=True))
    revoked_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))


class PublisherOperator(SQLModel, table=True):
    """An operator that a publisher may publish events for."""

    __tablename__ = "publisher_operator"

    publisher: int = Field(
        sa_column=Column(ForeignKey("publisher.id", ondelete="CASCADE"), primary_key=True)
    )
    operator: int = Field(sa_column=Column(ForeignKey("operator.id"), primary_key=True))
