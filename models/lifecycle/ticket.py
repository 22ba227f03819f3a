"""A ticket as decisions see it, and what a decision yields. Values only.

Those that are made anew for each event are named tuples: frozen dataclasses take thrice as long.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, NamedTuple

from models.events.format import is_missing
from models.vocabulary import Action, Outcome, Reason, Result, Status


@dataclass(frozen=True, slots=True)
class Terms:
    """What an operator agreed to, as far as a ticket's moves depend on it."""

    operator: int
    code: str
    protocol: str
    announces_tickets: bool
    close_delay: timedelta
    agent: str | None = None  # a seamless wallet's name for us
    lottery_ticket: str = "ticket"  # or "ticket+draw": what is one ticket in its lottery feed


class NewNotice(NamedTuple):
    """A notice the partner is owed. Its key is (ticket, action, generation)."""

    action: Action
    generation: int
    data: dict[str, Any]  # what its body is made of
    event_id: str | None
    at: datetime | None = None  # when it happened, and never later than it was heard of (rule 3)
    not_before: datetime | None = None
    body: str | None = None  # the text itself, where it is the same call again
    withheld: bool = False  # the partner was never told what this takes back (rule 18)


_NOT_IN_ROW = frozenset({"new_notices", "_loaded"})


@dataclass(slots=True)
class TicketState:
    """A locked ticket in memory. `decide` changes it in place; `models.tickets` stores it."""

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
    untold: int | None = None
    in_doubt: bool = False
    cancelled_by: str | None = None
    draw: str | None = None  # the one draw a lottery ticket takes part in (protocol H11)
    opened_in: str | None = None  # the currency in its details
    details: dict[str, Any] = field(default_factory=dict)  # loaded where the protocol needs them
    # What this transaction adds:
    filled: dict[str, Any] | None = None  # details that were missing
    amended: dict[str, Any] | None = None  # details that replace what stood there
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
    def facts(self) -> dict[str, Any]:
        """What is known of the slip, with what this transaction adds."""
        return {**(self.filled or {}), **self.details, **(self.amended or {})}

    def round_facts(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a wallet call may name: what was debited comes before a result's *data*."""
        return stated(data) | stated(self.facts)

    @property
    def currency(self) -> str | None:
        """The currency it was opened in; None: nothing has said so."""
        return self.opened_in or self.facts.get("currency")

    @property
    def is_over(self) -> bool:
        """No closing will end it: it is cancelled, or never opened and no event waits for that."""
        return self.status is Status.CANCELLED or (self.status is Status.ABSENT and not self.parked)

    @property
    def standing(self) -> str:
        """The status for people and for the event log, like `resulted/won`."""
        if self.result is Result.PENDING:
            return str(self.status)
        return f"{self.status}/{self.result}"


# Dicts are replaced, never changed in place: nearly always their identity settles the comparison.
_values = attrgetter(*(each.name for each in fields(TicketState) if each.name not in _NOT_IN_ROW))


def stated(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of *facts* that have a value; an empty text is none."""
    return {name: value for name, value in facts.items() if not is_missing(value)}


class Decision(NamedTuple):
    """How an event ended, or that it waits; *message* is for people."""

    outcome: Outcome
    reason: Reason | None = None
    message: str | None = None


APPLIED = Decision(Outcome.APPLIED)
