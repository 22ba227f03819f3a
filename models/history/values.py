"""The facts that a ticket's history consists of. Times are aware and in UTC."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Self

from sqlalchemy import Row

from models.events.stored import stored_object
from models.platform.durations import format_duration
from models.vocabulary import Action, NoticeEnd, Outcome, Result, Status

_HOUR: Final = timedelta(hours=1)
ANSWER_CHARACTERS_MAX: Final = 2000  # of a response, where there may be hundreds of attempts


@dataclass(frozen=True, slots=True)
class OpenCircuit:
    """The partner is failing: only probes are sent until one succeeds."""

    opened_at: datetime
    reason: str | None
    probe_at: datetime | None


@dataclass(frozen=True, slots=True)
class SweepFact:
    """The last round of the sweep, which closes tickets."""

    ended_at: datetime
    watermark: datetime | None  # what was due before it was closed; None: Redis was away


@dataclass(frozen=True, slots=True)
class BodiesRemoved:
    """When what was sent and answered was removed; how long after the ticket's end (rule 28)."""

    at: datetime
    after: timedelta

    @classmethod
    def of(cls, at: datetime | None, ended_at: datetime | None) -> Self | None:
        """Return it in whole hours, or None if nothing was removed."""
        if at is None:
            return None
        after = timedelta() if ended_at is None else at - ended_at
        return cls(at, after // _HOUR * _HOUR)

    @property
    def words(self) -> str:
        """It as people read it."""
        return f"removed after {format_duration(self.after)}"


@dataclass(frozen=True, slots=True)
class TicketFact:
    """A ticket's state, with its operator's settings that matter for it."""

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
    on_hold_at: datetime | None
    cancelled_by: str | None
    created_at: datetime
    changed_at: datetime
    close_delay: timedelta
    operator_disabled_at: datetime | None
    operator_ended_at: datetime | None
    circuit: OpenCircuit | None = None  # of its operator
    sweep: SweepFact | None = None  # None: no round has ended yet
    details: Mapping[str, Any] = field(default_factory=dict)  # player, code, amounts when opened
    amounts: Mapping[str, Any] = field(default_factory=dict)  # those of the result, if it had some
    erased_at: datetime | None = None  # what identified its player was blanked (rule 25)
    bodies_removed: BodiesRemoved | None = None  # what was sent and answered; None: it is stored

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it is to be sent or decided any more."""
        ended = self.status in {Status.ABSENT, Status.CANCELLED, Status.CLOSED}
        return ended and not (self.unfinished or self.parked)


@dataclass(frozen=True, slots=True)
class CausedNotice:
    """A notice that an event caused. *ended* is None while it is undelivered."""

    number: int  # its place in the ticket's order
    action: str
    generation: int
    ended: str | None
    unwanted: bool = False  # it ends without being sent when it is its turn (rule 27)

    @property
    def is_for_partner(self) -> bool:
        """Whether the partner is sent it, or was."""
        never_sent = (NoticeEnd.WITHDRAWN, NoticeEnd.NOT_WANTED)
        return not self.unwanted and self.ended not in never_sent

    @classmethod
    def of(cls, notice: Row[Any]) -> Self:
        """Return what is shown of *notice* with its event."""
        return cls(
            number=notice.number,
            action=notice.action,
            generation=notice.generation,
            ended=notice.ended,
            unwanted=notice.unwanted,
        )


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
    status_before: str  # the ticket's: `open`, `resulted/won`
    status_after: str
    decided_at: datetime
    park_until: datetime | None
    repeats: int  # duplicates received since then; they changed nothing
    repeated_at: datetime | None
    message: str | None = None  # the reason for people, with the facts
    notices: tuple[CausedNotice, ...] = ()
    dropped_at: datetime | None = None  # a person resolved it
    trace_id: str | None = None  # of the trace it belongs to


@dataclass(frozen=True, slots=True)
class AttemptFact:
    """One call to the partner and how its response was classified."""

    claim: int
    verdict: str
    took: timedelta
    http_status: int | None
    problem: str | None
    answer: str | None  # its beginning; `models.history.request` has all that is stored
    recorded_at: datetime
    remarks: Mapping[str, Any] | None = None  # what a wallet said it did, and doubts about it
    sent_at: datetime | None = None  # None: no request was made, or by an earlier release
    remote_address: str | None = None

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        """Return what is shown of the attempt in *row*, whose answer is cut."""
        return cls(
            claim=row.claim,
            verdict=row.verdict,
            took=timedelta(milliseconds=row.took_ms),
            http_status=row.http_status,
            problem=row.problem,
            answer=row.answer,
            recorded_at=row.recorded_at,
            remarks=None if row.remarks is None else stored_object(row.remarks),
            sent_at=row.sent_at,
            remote_address=None if row.remote_address is None else str(row.remote_address),
        )


@dataclass(frozen=True, slots=True)
class NoticeFact:
    """One message for the partner, and every attempt to deliver it."""

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
    repeat: int = 0  # rule 22; 0: the original
    original: int | None = None  # the number of the notice that it repeats
    asked_for_by: str | None = None  # the person who had it sent again
    unwanted: bool = False  # rule 27: never sent, it ends when it is its turn
    trace_id: str | None = None  # of the trace it belongs to

    @property
    def as_repeat(self) -> str | None:
        """What it repeats, and who asked for that, in words; None: it is an original."""
        if not self.repeat:
            return None
        of = "" if self.original is None else f" of number {self.original}"
        by = "" if self.asked_for_by is None else f", asked for by {self.asked_for_by}"
        return f"repeat {self.repeat}{of}{by}"


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
    """Rejected input: refused before it became an event, but it named this ticket."""

    entry_id: str
    event_id: str | None
    reason: str
    message: str
    received_at: datetime
    rejected_at: datetime
    dropped_at: datetime | None = None  # a person resolved it


@dataclass(frozen=True, slots=True)
class TicketHistory:
    """The history of one ticket. *cut*: there is more than is held here."""

    ticket: TicketFact
    events: tuple[EventFact, ...]  # in order of arrival
    notices: tuple[NoticeFact, ...]  # in the ticket's order
    interventions: tuple[InterventionFact, ...]
    refused: tuple[RefusedFact, ...]
    cut: bool
