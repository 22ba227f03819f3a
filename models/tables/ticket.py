"""The ticket: one row holds all that the sweep and the next decision need."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

from models.tables.columns import counter_column, json_column, one_of, timestamp_column, word_column
from models.vocabulary import Result, Status


class Ticket(SQLModel, table=True):
    """A betting slip of one operator. Its row's lock orders everything that happens to it."""

    __tablename__ = "ticket"
    __table_args__ = (
        UniqueConstraint("operator", "ticket_id"),
        # The sweep: closings that are due, with no event parked (rule 17).
        Index(
            "ticket_close_due",
            "close_due_at",
            postgresql_where=text("close_due_at IS NOT NULL AND parked = 0"),
        ),
        # Retention: what ended long ago.
        Index("ticket_closed", "closed_at", postgresql_where=text("closed_at IS NOT NULL")),
        Index(
            "ticket_cancelled", "cancelled_at", postgresql_where=text("cancelled_at IS NOT NULL")
        ),
        # The Bet Engine API: an operator's newest tickets, a player's, and one by its code. None of
        # these columns changes once the ticket is open, so that its updates stay HOT; a condition
        # on its status would undo that. All are partial: an index of all tickets by their operator
        # would tempt the planner away from the key (operator, ticket_id). `-id < 0` keeps it out of
        # every statement that does not say so too; `id > 0` would have it look up the least id, and
        # the primary key's order look just as good, which it is not for an operator with few.
        Index("ticket_newest", "operator", text("(- id)"), postgresql_where=text("(- id) < 0")),
        Index(
            "ticket_of_player",
            "operator",
            text("(details ->> 'player_id')"),
            "id",
            postgresql_where=text("(details ->> 'player_id') IS NOT NULL"),
        ),
        Index(
            "ticket_code",
            "operator",
            text("(details ->> 'ticket_code')"),
            "id",
            postgresql_where=text("(details ->> 'ticket_code') IS NOT NULL"),
        ),
        # `slipway tickets list`: an operator's tickets that have not ended. Its condition names
        # only columns of other indexes, so it costs no HOT update.
        Index(
            "ticket_unended",
            "operator",
            "id",
            postgresql_where=text("closed_at IS NULL AND cancelled_at IS NULL"),
        ),
        # The sweep: those that ended and have their bodies, in the order in which the time ends for
        # which their partner's are kept. None of these columns changes before the end.
        Index(
            "ticket_with_bodies",
            "operator",
            text("greatest(closed_at, cancelled_at, bodies_kept_from)"),
            postgresql_where=text(
                "bodies_removed_at IS NULL AND (closed_at IS NOT NULL OR cancelled_at IS NOT NULL)"
            ),
        ),
        # Those that a person holds. Only a hold and a release change the column.
        Index("ticket_on_hold", "on_hold_at", postgresql_where=text("on_hold_at IS NOT NULL")),
        one_of("status", Status),
        one_of("result", Result),
        CheckConstraint(
            "(status IN ('resulted', 'closed')) = (result <> 'pending')", name="result_fits_status"
        ),
        CheckConstraint(
            "close_due_at IS NULL OR status = 'resulted'", name="only_a_result_starts_the_clock"
        ),
        CheckConstraint(
            "(status = 'closed') = (closed_at IS NOT NULL)", name="closed_has_its_time"
        ),
        CheckConstraint("parked BETWEEN 0 AND 32", name="parked_bounded"),
        CheckConstraint("unfinished BETWEEN 0 AND notices", name="unfinished_bounded"),
        # Room for the row's next versions on its own page: most changes touch no index (HOT).
        {"postgresql_with": {"fillfactor": "75"}},
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    operator: int = Field(sa_column=Column(ForeignKey("operator.id"), nullable=False))
    ticket_id: str
    status: str = Field(sa_column=word_column(default=Status.ABSENT))
    result: str = Field(sa_column=word_column(default=Result.PENDING))
    generation: int = Field(sa_column=counter_column())  # settlements so far (rule 6)
    settled_at: datetime | None = Field(
        default=None, sa_column=timestamp_column(nullable=True)
    )  # rule 4
    amounts: dict[str, Any] | None = Field(default=None, sa_column=json_column(nullable=True))
    amended_at: datetime | None = Field(
        default=None, sa_column=timestamp_column(nullable=True)
    )  # H8
    close_due_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    closed_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    # When it was cancelled; of one that is `absent` with nothing parked: when its last event ended.
    cancelled_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    parked: int = Field(sa_column=counter_column())
    sequence: int = Field(sa_column=counter_column())  # last number decided (rule 9)
    notices: int = Field(sa_column=counter_column())  # notices numbered so far (rule 12)
    unfinished: int = Field(
        sa_column=counter_column()
    )  # notices not yet delivered, skipped or withdrawn
    held_until: datetime | None = Field(
        default=None, sa_column=timestamp_column(nullable=True)
    )  # rule 15
    # Since when a person holds it: nothing is sent and it does not close (rule 23).
    on_hold_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    untold: int | None = None  # the generation whose result was skipped (rule 18)
    in_doubt: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})  # rule 10
    cancelled_by: str | None = None  # a description of what cancelled it (H29)
    draw: str | None = None  # the one draw a lottery ticket takes part in (H11)
    details: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())
    created_at: datetime | None = Field(default=None, sa_column=timestamp_column(default_now=True))
    # By an event or a person. What its partner received and its close have times of their own, and
    # those updates leave alone what stands from `details` on: WAL holds no details for them.
    # A plain result does, too: its event has the time. Read by `models.events.time_of_change`.
    changed_at: datetime | None = Field(default=None, sa_column=timestamp_column(default_now=True))
    # When what identifies its player was blanked (rule 25).
    erased_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    # When what was sent and answered was removed; from when its time runs, if that is not its end,
    # because it was needed (rule 28).
    bodies_removed_at: datetime | None = Field(
        default=None, sa_column=timestamp_column(nullable=True)
    )
    bodies_kept_from: datetime | None = Field(
        default=None, sa_column=timestamp_column(nullable=True)
    )
