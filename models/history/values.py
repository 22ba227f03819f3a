"""The facts a ticket's story is told from. Times are aware and in UTC."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from models.vocabulary import Action, NoticeEnd, Outcome, Result, Status


@dataclass(frozen=True, slots=True)
class TicketFact:
    """Where a ticket stands, and what its operator's settings make of that."""

    operator: str  # code
    ticket_id: str
    status: Status
    result: Result
    generation: int
    settled_at: datetime | None
    close_due_at: datetime | None
    closed_at: datetime | None
    parked: int
    unfinished: int
    cancelled_by: str | None
    created_at: datetime
    changed_at: datetime
    close_delay: timedelta
    operator_disabled_at: datetime | None
    details: Mapping[str, Any] = field(default_factory=dict)  # player, code, amounts when opened
    amounts: Mapping[str, Any] = field(default_factory=dict)  # those of the result, if it had some


@dataclass(frozen=True, slots=True)
class CausedNotice:
    """A notice that came of an event. *ended*: how; none while the partner has not taken it."""

    number: int  # its place in the ticket's order
    action: str
    generation: int
    ended: str | None


@dataclass(frozen=True, slots=True)
class EventFact:
    """One event and how it ended."""

    event_id: str
    action: Action
    data: Mapping[str, Any]
    occurred_at: datetime | None
    order_time: datetime
    sequence: int | None
    received_at: datetime
    outcome: Outcome
    reason: str | None
    status_before: str  # how the ticket stood: `open`, `resulted/won`
    status_after: str
    decided_at: datetime
    park_until: datetime | None
    repeats: int  # duplicates received since; they changed nothing
    repeated_at: datetime | None
    message: str | None = None  # the reason for people, with the facts
    notices: tuple[CausedNotice, ...] = ()
    dropped_at: datetime | None = None  # a person dealt with it


@dataclass(frozen=True, slots=True)
class AttemptFact:
    """One call to the partner and what was made of its answer."""

    claim: int
    verdict: str
    took: timedelta
    http_status: int | None
    problem: str | None
    answer: str | None
    recorded_at: datetime
    remarks: Mapping[str, Any] | None = None  # what a wallet said it did, and what is odd about it


@dataclass(frozen=True, slots=True)
class NoticeFact:
    """One message the partner is owed, and every attempt to deliver it."""

    id: int  # what `slipway notices` takes
    number: int
    action: Action
    generation: int
    event_id: str | None
    head: bool
    created_at: datetime
    due_at: datetime
    leased_until: datetime | None
    tries: int
    perhaps_delivered: bool
    ended: NoticeEnd | None
    ended_at: datetime | None
    reason: str | None
    attempts: tuple[AttemptFact, ...]


@dataclass(frozen=True, slots=True)
class InterventionFact:
    """What a person did to this ticket."""

    at: datetime
    who: str
    why: str
    did: str  # `event_retried`, `notice_skipped`, …
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RefusedFact:
    """What was refused before it became an event, but named this ticket."""

    entry_id: str
    event_id: str | None
    reason: str
    message: str
    received_at: datetime
    rejected_at: datetime
    dropped_at: datetime | None = None  # a person dealt with it


@dataclass(frozen=True, slots=True)
class TicketHistory:
    """All of one ticket. *cut*: there is more than is shown here."""

    ticket: TicketFact
    events: tuple[EventFact, ...]  # in order of arrival
    notices: tuple[NoticeFact, ...]  # in the ticket's order
    interventions: tuple[InterventionFact, ...]
    refused: tuple[RefusedFact, ...]
    cut: bool
