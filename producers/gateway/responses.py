"""Responses to publishers about their events and tickets. Times are in UTC."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from models.history import TicketHistory
from models.history.event_log import EventsById
from models.platform.durations import format_duration
from models.vocabulary import Action, NoticeEnd, Outcome, Result, Status

Duration = Annotated[timedelta, PlainSerializer(format_duration, return_type=str)]


class _FromAttributes(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class EventOutcome(_FromAttributes):
    """How one event ended, or that it waits (`parked`).

    Input that is not an event of a ticket has the fields that could be read, and no `ticket_...`.
    """

    event_id: str | None
    operator: str | None
    ticket_id: str | None
    action: str | None
    sequence: int | None
    outcome: Outcome
    reason: str | None
    message: str | None
    at: datetime
    occurred_at: datetime | None
    received_at: datetime
    park_until: datetime | None
    repeats: int
    trace_id: str | None
    entry_id: str | None
    ticket_status: str | None
    ticket_close_due_at: datetime | None
    ticket_closed_at: datetime | None


class EventOutcomes(_FromAttributes):
    """Event ids are unique per ticket, so there may be several. `more`: there may be others."""

    events: list[EventOutcome]
    more: bool

    @classmethod
    def of(cls, events: EventsById) -> Self:
        """Convert *events*."""
        return cls(
            events=[EventOutcome.model_validate(line) for line in events.lines], more=events.more
        )


class EventPage(_FromAttributes):
    """Newest first. `next` is the `after` of the next page, null on the last page.

    A page with fewer than `limit` events, or none, may have a next page.
    """

    events: list[EventOutcome]
    next: str | None = None


class TicketSummary(_FromAttributes):
    """The state of the ticket."""

    operator: str
    ticket_id: str
    status: Status
    result: Result
    generation: int
    settled_at: datetime | None
    close_due_at: datetime | None
    closed_at: datetime | None
    close_delay: Duration
    parked: int
    unfinished: int
    on_hold_at: datetime | None
    cancelled_by: str | None
    created_at: datetime
    changed_at: datetime


class HistoryEvent(_FromAttributes):
    """One event of the ticket."""

    event_id: str
    action: Action
    data: dict[str, Any]
    occurred_at: datetime | None
    order_time: datetime
    sequence: int | None
    received_at: datetime
    outcome: Outcome
    reason: str | None
    status_before: str
    status_after: str
    decided_at: datetime
    park_until: datetime | None
    repeats: int
    trace_id: str | None


class HistoryAttempt(_FromAttributes):
    """One call to the partner."""

    verdict: str
    http_status: int | None
    problem: str | None
    recorded_at: datetime


class HistoryNotice(_FromAttributes):
    """One notice to the partner."""

    number: int
    action: Action
    generation: int
    event_id: str | None
    created_at: datetime
    due_at: datetime
    ended: NoticeEnd | None
    ended_at: datetime | None
    reason: str | None
    trace_id: str | None
    attempts: list[HistoryAttempt]


class HistoryRejection(_FromAttributes):
    """Rejected input that names this ticket."""

    event_id: str | None
    entry_id: str
    reason: str
    message: str
    received_at: datetime
    rejected_at: datetime


class TicketDetails(_FromAttributes):
    """One ticket. `sentence` explains why it is not closed. `cut`: the history is longer."""

    sentence: str
    ticket: TicketSummary
    events: list[HistoryEvent]
    notices: list[HistoryNotice]
    refused: list[HistoryRejection]
    cut: bool

    @classmethod
    def of(cls, story: TicketHistory, sentence: str) -> Self:
        """Convert a public history (`models.history.public`)."""
        return cls(
            sentence=sentence,
            ticket=TicketSummary.model_validate(story.ticket),
            events=[HistoryEvent.model_validate(item) for item in story.events],
            notices=[HistoryNotice.model_validate(item) for item in story.notices],
            refused=[HistoryRejection.model_validate(item) for item in story.refused],
            cut=story.cut,
        )


class TicketDetailsList(_FromAttributes):
    """One for each operator that has a ticket with this id."""

    tickets: list[TicketDetails]


class EventIdentity(BaseModel):
    """The id and time of an event on the stream, including those that the gateway filled in."""

    event_id: str
    occurred_at: str
    trace_id: str | None = Field(default=None, description="Of the trace it belongs to.")


class RejectedLine(BaseModel):
    """A line of NDJSON that was rejected, counted from 1, and why."""

    line: int
    error: str


class PublishResult(BaseModel):
    """The accepted events are on the stream (with `dry_run`: would be)."""

    accepted: int
    rejected: list[RejectedLine] = Field(
        default_factory=list, description="NDJSON only: the first 1,000 rejected lines."
    )
    rejected_count: int = Field(default=0, description="Total number of rejected lines.")
    events: list[EventIdentity] = Field(
        default_factory=list, description="JSON only: the accepted events, in their order."
    )
