"""The event log: every event with its outcome; and rejected input, stored as it came."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    text,
)
from sqlmodel import Field, SQLModel

from models.tables.columns import counter_column, json_column, one_of, timestamp_column, word_column
from models.vocabulary import INBOUND, LeftToTicket, Outcome


class TicketEvent(SQLModel, table=True):
    """One event of one ticket. Its key is (ticket, event_id): it counts once (rule 2)."""

    __tablename__ = "ticket_event"
    __table_args__ = (
        # Windows that end, oldest first (rule 8).
        # It says more than a look for those of a ticket does. The planner would take it for that
        # where nothing was parked when the table was last analysed, and read all parked by now.
        Index(
            "ticket_event_window_end",
            "park_until",
            postgresql_where=text("outcome = 'parked' AND park_until IS NOT NULL"),
        ),
        # Those of a ticket, however many are parked on others (rule 5).
        Index("ticket_event_waiting", "ticket", postgresql_where=text("outcome = 'parked'")),
        # Events that need a person: `slipway events parked|rejected|superseded list`, newest first.
        Index(
            "ticket_event_listed",
            "outcome",
            "decided_at",
            postgresql_where=text(
                "outcome IN ('parked', 'rejected', 'superseded') AND dropped_at IS NULL"
            ),
        ),
        # One event by its id alone, newest first: `slipway events ... show ID`,
        # GET /events/{event_id}. By operator, because others may use the same id on any number of
        # tickets; the id's hash has a quarter of its bytes, and is what hash indexes store.
        Index("ticket_event_of_id", "operator", text("hashtext(event_id)"), "arrival"),
        one_of("action", INBOUND),
        one_of("outcome", [end for end in Outcome if end is not Outcome.DUPLICATE]),
        one_of("left_out", LeftToTicket),
        CheckConstraint("(outcome = 'parked') = (park_until IS NOT NULL)", name="parked_has_end"),
        CheckConstraint("left_out IS NULL OR outcome = 'applied'", name="whole_unless_applied"),
        CheckConstraint("sequence > 0", name="sequence_positive"),
    )

    ticket: int = Field(sa_column=Column(BigInteger, ForeignKey("ticket.id"), primary_key=True))
    event_id: str = Field(primary_key=True)
    arrival: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(), nullable=False)
    )
    action: str = Field(sa_column=word_column())
    data: dict[str, Any] = Field(sa_column=json_column())  # without what is `left_out`
    occurred_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    order_time: datetime = Field(sa_column=timestamp_column())  # rule 3
    sequence: int | None = None
    entry_id: str | None = None  # None: it did not come on the stream
    received_at: datetime = Field(sa_column=timestamp_column())
    outcome: str = Field(sa_column=word_column())
    reason: str | None = None  # a word from `models.vocabulary.Reason`
    message: str | None = None  # the explanation for people, with the facts
    status_before: str = Field(sa_column=word_column())
    status_after: str = Field(sa_column=word_column())
    decided_at: datetime = Field(sa_column=timestamp_column())
    park_until: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    repeats: int = Field(sa_column=counter_column())  # duplicates received since
    repeated_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    dropped_at: datetime | None = Field(
        default=None, sa_column=timestamp_column(nullable=True)
    )  # resolved
    # Its ticket's. None: written before this column, or by the release before, during an upgrade.
    operator: int | None = None
    traceparent: str | None = None  # the trace it belongs to, as W3C Trace Context writes it
    # What `data` lacks, because its ticket has it: read both as `models.events.kept_once` says.
    left_out: str | None = Field(default=None, sa_column=word_column(nullable=True))


class RejectedInput(SQLModel, table=True):
    """Input that was refused before it became an event of a ticket, and what was wrong with it."""

    __tablename__ = "rejected_input"
    __table_args__ = (
        # Events that need a person: `slipway events rejected list`, newest first.
        Index("rejected_input_listed", "rejected_at", postgresql_where=text("dropped_at IS NULL")),
        # By the id of the event that it should have become: GET /events/{event_id}.
        Index(
            "rejected_input_of_id",
            "event_id",
            "operator",
            postgresql_where=text("event_id IS NOT NULL"),
        ),
        Index("rejected_input_ticket", "ticket_id", "operator"),  # the ticket's history
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    entry_id: str = Field(sa_column_kwargs={"unique": True})
    kind: str | None = None  # the entry's `type` field
    raw: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    whole: bool  # `raw` is the entry's whole field `event`: it can be decoded again
    reason: str  # a word from a closed list, for filters and metrics
    message: str  # what was wrong, where, and the remedy
    operator: str | None = None  # as far as it could be read
    ticket_id: str | None = None
    event_id: str | None = None
    received_at: datetime = Field(sa_column=timestamp_column())
    rejected_at: datetime | None = Field(default=None, sa_column=timestamp_column(default_now=True))
    dropped_at: datetime | None = Field(
        default=None, sa_column=timestamp_column(nullable=True)
    )  # resolved
