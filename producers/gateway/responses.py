"""What a publisher is told of its events and tickets. Times are in UTC."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from models.history import TicketHistory
from models.history.event_log import EventsById
from models.platform.durations import format_duration
from models.vocabulary import Action, NoticeEnd, Outcome, Result, Status

Duration = Annotated[timedelta, PlainSerializer(format_duration, return_type=str)]


class _Told(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class EventEnd(_Told):
    """How one event ended, or that it waits (`parked`).

    Input that was no event of a ticket has what could be made out of it, and no `ticket_...`.
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
    entry_id: str | None
    ticket_status: str | None
    ticket_close_due_at: datetime | None
    ticket_closed_at: datetime | None


class EventEnds(_Told):
    """An event id counts per ticket, so there may be several. `more`: there may be others."""

    events: list[EventEnd]
    more: bool

    @classmethod
    def of(cls, found: EventsById) -> Self:
        """Show *found*."""
        return cls(events=[EventEnd.model_validate(line) for line in found.lines], more=found.more)


class EventPage(_Told):
    """Newest first. `next` is the `after` of the next page; null: this is the last.

    A page may hold fewer than `limit`, or none, and have a next one.
    """

    events: list[EventEnd]
    next: str | None = None


class TicketFacts(_Told):
    """Where the ticket stands."""

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
    cancelled_by: str | None
    created_at: datetime
    changed_at: datetime


class StoryEvent(_Told):
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


class StoryAttempt(_Told):
    """One call to the partner."""

    verdict: str
    http_status: int | None
    problem: str | None
    recorded_at: datetime


class StoryNotice(_Told):
    """One message the partner is owed."""

    number: int
    action: Action
    generation: int
    event_id: str | None
    created_at: datetime
    due_at: datetime
    ended: NoticeEnd | None
    ended_at: datetime | None
    reason: str | None
    attempts: list[StoryAttempt]


class StoryRefusal(_Told):
    """What named this ticket and was no event of it."""

    event_id: str | None
    entry_id: str
    reason: str
    message: str
    received_at: datetime
    rejected_at: datetime


class TicketStory(_Told):
    """All of one ticket; `sentence` says in words why it is not closed. `cut`: there is more."""

    sentence: str
    ticket: TicketFacts
    events: list[StoryEvent]
    notices: list[StoryNotice]
    refused: list[StoryRefusal]
    cut: bool

    @classmethod
    def of(cls, story: TicketHistory, sentence: str) -> Self:
        """Tell *story*, which is a public one (`models.history.public`)."""
        return cls(
            sentence=sentence,
            ticket=TicketFacts.model_validate(story.ticket),
            events=[StoryEvent.model_validate(one) for one in story.events],
            notices=[StoryNotice.model_validate(one) for one in story.notices],
            refused=[StoryRefusal.model_validate(one) for one in story.refused],
            cut=story.cut,
        )


class TicketStories(_Told):
    """One for each operator that has a ticket of this id."""

    tickets: list[TicketStory]


class Fixed(BaseModel):
    """An event's id and time as they are on the stream; here, where the publisher left them out."""

    event_id: str
    occurred_at: str


class RefusedLine(BaseModel):
    """A line of NDJSON that is not on the stream, counted from 1, and why."""

    line: int
    error: str


class Accepted(BaseModel):
    """The accepted events are on the stream (with `dry_run`: would be)."""

    accepted: int
    rejected: list[RefusedLine] = Field(
        default_factory=list, description="NDJSON only: the first 1,000 refused lines."
    )
    rejected_count: int = Field(default=0, description="How many lines were refused in all.")
    events: list[Fixed] = Field(
        default_factory=list, description="JSON only: the accepted events, in their order."
    )
