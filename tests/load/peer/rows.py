"""The peer's tables."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, ForeignKey, Identity, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Row(DeclarativeBase):
    """A row of the peer's."""

    type_annotation_map = {datetime: DateTime(timezone=True), dict[str, Any]: JSONB}  # noqa: RUF012 - SQLAlchemy's own form


class Ticket(Row):
    """Where a ticket stands."""

    __tablename__ = "peer_ticket"
    __table_args__ = (UniqueConstraint("operator", "ticket_id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    operator: Mapped[str]
    ticket_id: Mapped[str]
    status: Mapped[str]
    result: Mapped[str]
    settled_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    changed_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class Event(Row):
    """What happened to it."""

    __tablename__ = "peer_event"

    ticket: Mapped[int] = mapped_column(ForeignKey("peer_ticket.id"), primary_key=True)
    event_id: Mapped[str] = mapped_column(primary_key=True)
    action: Mapped[str]
    data: Mapped[dict[str, Any]]
    occurred_at: Mapped[datetime]
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Notice(Row):
    """A message for the partner."""

    __tablename__ = "peer_notice"
    __table_args__ = (UniqueConstraint("ticket", "action"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    ticket: Mapped[int] = mapped_column(ForeignKey("peer_ticket.id"))
    action: Mapped[str]
    body: Mapped[str]
    status: Mapped[int | None]
    delivered_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
