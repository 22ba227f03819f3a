"""Creates and reserves that were cancelled, each with its cause: by the partner's ledger.

Create and reserve are sent once. Where that was in vain for a reason of our own, as a connection
that the partner had closed before, a player's ticket is cancelled without cause.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from sqlalchemy import Connection, text

from models.outbox.attempts import ATTEMPTS
from producers.simulation.partner import LedgerEntry

CANCELLED: Final = text(f"""
    SELECT o.code AS operator, t.ticket_id, n.action, n.claims, n.ended_at,
           a.problem, a.http_status, a.took_ms, a.recorded_at
      FROM notice n
      JOIN ticket t ON t.id = n.ticket
      JOIN operator o ON o.id = n.operator
      LEFT JOIN {ATTEMPTS} a ON a.notice = n.id
     WHERE n.action IN ('ticket_create', 'ticket_reserve') AND n.ended = 'refused'""")  # noqa: S608 - a constant
RECORDED_WITHIN: Final = timedelta(seconds=10)  # an answer is kept while the database is away
WORDS_MAX: Final = 20

Span = tuple[datetime, datetime]


class Cause(StrEnum):
    """Why a create or reserve was cancelled."""

    REFUSED = "refused by the partner"
    NO_ANSWER = "the partner gave no answer"
    TOO_LATE = "its answer came too late"
    CUT = "the way to the partner was cut"
    SENDER = "the sender was lost, or could not record the answer"
    UNSENT = "not sent in time"
    NONE = "without cause"


@dataclass(frozen=True, slots=True)
class Sent:
    """A create or reserve that was cancelled, and its attempt if one was recorded."""

    operator: str
    ticket_id: str
    action: str
    claims: int
    ended_at: datetime
    problem: str | None
    http_status: int | None
    took_ms: int | None
    recorded_at: datetime | None

    @property
    def span(self) -> Span:
        """When it was under way, at the most."""
        recorded = self.recorded_at or self.ended_at
        began = recorded - RECORDED_WITHIN - timedelta(milliseconds=self.took_ms or 0)
        return began, recorded


@dataclass(frozen=True, slots=True)
class Cancelled:
    """All that were cancelled, counted by cause; those without one in words."""

    causes: Counter[Cause]
    words: tuple[str, ...]

    @property
    def without_cause(self) -> int:
        """How many were cancelled for a reason of our own."""
        return self.causes[Cause.NONE]

    def in_words(self) -> str:
        """How many for which cause."""
        counted = sorted(self.causes.items())
        return ", ".join(f"{count} {cause}" for cause, count in counted if cause is not Cause.NONE)


def cancelled(
    connection: Connection,
    received: Sequence[LedgerEntry],
    *,
    cuts: Sequence[Span],
    timeout: timedelta,
) -> Cancelled:
    """Find the cause of each. *cuts*: when the way to the partner was disturbed on purpose."""
    rows = connection.execute(CANCELLED).mappings().all()
    by_action = {(call.operator, call.ticket_id, call.action): call for call in received}
    causes: Counter[Cause] = Counter()
    words: list[str] = []
    for row in rows:
        sent = Sent(**row)
        entry = by_action.get((sent.operator, sent.ticket_id, sent.action))
        cause = cause_of(sent, entry, cuts=cuts, timeout=timeout)
        causes[cause] += 1
        if cause is Cause.NONE and len(words) < WORDS_MAX:
            words.append(f"{sent.action} of {sent.operator}/{sent.ticket_id}: {_why(sent, entry)}")
    return Cancelled(causes, tuple(words))


def cause_of(
    sent: Sent, entry: LedgerEntry | None, *, cuts: Sequence[Span], timeout: timedelta
) -> Cause:
    """Classify it by what the partner has of it. An answer in time has no excuse but a cut line.

    Never reached: our fault, unless it was not sent at all, its sender was lost, or the way was
    cut. Refused for its signature: our fault.
    """
    if sent.claims == 0:
        return Cause.UNSENT
    if entry is not None and entry.status != HTTPStatus.OK:
        return _partners(entry)
    if sent.recorded_at is None:
        return Cause.SENDER
    began, ended = sent.span
    if any(start <= ended and began <= end for start, end in cuts):
        return Cause.CUT
    late = timedelta(milliseconds=sent.took_ms or 0) >= timeout
    return Cause.TOO_LATE if late and entry is not None else Cause.NONE


def _partners(entry: LedgerEntry) -> Cause:
    if entry.signature_ok is False:
        return Cause.NONE
    return Cause.NO_ANSWER if entry.status is None else Cause.REFUSED


def _why(sent: Sent, entry: LedgerEntry | None) -> str:
    reached = "never reached the partner" if entry is None else f"answered {entry.status} in time"
    answer = sent.problem or sent.http_status
    return f"{reached}; recorded after {sent.took_ms} ms: {answer}"
