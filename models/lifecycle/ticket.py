"""The values that decisions work on: a ticket, the notices it gets, and a decision.

Those that are made for each event are named tuples: frozen dataclasses take three times as long.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from functools import cache
from operator import attrgetter
from typing import Any, Final, NamedTuple

from models.events.format import is_missing
from models.platform.timestamps import format_timestamp
from models.vocabulary import CAN_BE_LEFT_OUT, Action, Outcome, Reason, Result, Status


@dataclass(frozen=True, slots=True)
class Terms:
    """The settings of an operator that a ticket's life depends on."""

    operator: int
    code: str
    protocol: str
    announces_tickets: bool
    close_delay: timedelta
    agent: str | None = None  # a seamless wallet's name for us
    lottery_ticket: str = "ticket"  # what is one ticket in its lottery feed; or "ticket+draw"
    ended_at: datetime | None = None  # the partnership is over: nothing is applied (rule 24)
    wants: str | None = None  # the actions it is sent; None: all (rule 27)
    keeps_once: bool = False  # events leave out what their ticket keeps: of the installation
    times_once: bool = False  # a plain result leaves its time to its event: likewise
    shortens_bodies: bool = False  # likewise: `models.notices.short_body`

    def leaves_out(self, action: Action) -> bool:
        """Return whether the partner does not want *action*; a rollback follows its result."""
        return self.wants is not None and action in CAN_BE_LEFT_OUT - _listed(self.wants)


@cache
def _listed(actions: str) -> frozenset[str]:
    return frozenset(part.strip() for part in actions.split(","))


def refused_since(terms: Terms) -> str:
    """Say why no event of this operator is applied any more: its partnership has ended."""
    assert terms.ended_at is not None, "only then are its events refused"
    ended = format_timestamp(terms.ended_at, "seconds")
    return f"the partnership with operator {terms.code!r} ended at {ended}; that is final"


class NewNotice(NamedTuple):
    """A notice to be sent. Its key is (ticket, action, generation)."""

    action: Action
    generation: int
    data: dict[str, Any]  # what its body is made of
    event_id: str | None
    at: datetime | None = None  # when it happened, but not after it was received (rule 3)
    not_before: datetime | None = None
    body: str | None = None  # the text, if it is the same call again
    withheld: bool = False  # the partner never received what this takes back (rule 18)
    traceparent: str | None = None  # the trace of what causes it


_BY_RECEIPTS = frozenset({"unfinished", "close_due_at"})
SETTLED: Final = (
    *("status", "result", "generation", "settled_at", "amounts", "notices", "unfinished"),
)
"""What a result for a ticket that waits for it changes, and nothing else."""


@dataclass(slots=True)
class TicketState:
    """A locked ticket in memory; `decide` changes it in place, `models.tickets.save` saves it."""

    id: int
    ticket_id: str
    terms: Terms
    status: Status = Status.ABSENT
    result: Result = Result.PENDING
    generation: int = 0
    settled_at: datetime | None = None
    amounts: dict[str, Any] | None = None
    amended_at: datetime | None = None
    close_due_at: datetime | None = None
    parked: int = 0
    sequence: int = 0
    notices: int = 0
    unfinished: int = 0
    held_until: datetime | None = None  # nothing is sent on this ticket before (rules 14, 15)
    on_hold_at: datetime | None = None  # a person holds it: it has no head (rule 23)
    untold: int | None = None  # the generation whose result is never sent (rules 18, 27)
    in_doubt: bool = False
    cancelled_by: str | None = None
    draw: str | None = None  # the one draw of a lottery ticket (H11)
    opened_in: str | None = None  # the currency in its details
    erased: bool = False  # what identified its player was blanked (rule 25)
    bodies_removed: bool = False  # what was sent and answered is not stored any more (rule 28)
    details: dict[str, Any] = field(default_factory=dict)  # loaded where the protocol needs them
    # What this transaction adds:
    filled: dict[str, Any] | None = None  # details that were missing
    amended: dict[str, Any] | None = None  # details that replace the present ones
    new_notices: list[NewNotice] = field(default_factory=list)
    _loaded: tuple[Any, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Keep the values as loaded, to compare with."""
        self._loaded = _values(self)

    @property
    def changed(self) -> bool:
        """Whether its row is no longer as it was loaded."""
        return _values(self) != self._loaded

    @property
    def has_news(self) -> bool:
        """Whether more of its row changed than what a receipt of its partner changes."""
        known = zip(_NAMES, _values(self), self._loaded, strict=True)
        return any(now != before for name, now, before in known if name not in _BY_RECEIPTS)

    @property
    def settled_only(self) -> bool:
        """Whether nothing but `SETTLED` is no longer as it was loaded."""
        return _values(self)[: -len(SETTLED)] == self._loaded[: -len(SETTLED)]

    @property
    def needs_head(self) -> bool:
        """Whether its oldest unfinished notice is to be its head: not while it is on hold."""
        return self.unfinished > 0 and self.on_hold_at is None

    @property
    def facts(self) -> dict[str, Any]:
        """The ticket's details, with what this transaction adds."""
        return {**(self.filled or {}), **self.details, **(self.amended or {})}

    def round_facts(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a wallet call may name: what was debited comes before a result's *data*."""
        return stated(data) | stated(self.facts)

    @property
    def currency(self) -> str | None:
        """The currency it was opened in, or None if it was opened without one."""
        return self.opened_in or self.facts.get("currency")

    @property
    def is_over(self) -> bool:
        """Whether it ended without a closing: cancelled, or not opened and with nothing parked."""
        return self.status is Status.CANCELLED or (self.status is Status.ABSENT and not self.parked)

    @property
    def takes_no_text(self) -> bool:
        """Whether what still arrives about it is stored without what may identify a player."""
        return self.erased and self.status in (Status.CLOSED, Status.CANCELLED)

    @property
    def status_text(self) -> str:
        """The status and result for people and for the event log, like `resulted/won`."""
        if self.result is Result.PENDING:
            return str(self.status)
        return f"{self.status}/{self.result}"


_NOT_OTHERS: Final = {"new_notices", "_loaded", *SETTLED}
_OTHERS: Final = [each.name for each in fields(TicketState) if each.name not in _NOT_OTHERS]
# Dicts are replaced, never changed in place: nearly always their identity settles the comparison.
_NAMES: Final = (*_OTHERS, *SETTLED)
_values = attrgetter(*_NAMES)


def stated(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of *facts* that have a value; an empty text is none."""
    return {name: value for name, value in facts.items() if not is_missing(value)}


class Decision(NamedTuple):
    """How an event ends, or that it is parked; *message* is for people."""

    outcome: Outcome
    reason: Reason | None = None
    message: str | None = None


APPLIED = Decision(Outcome.APPLIED)
