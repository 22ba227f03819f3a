"""The filter of the page of events, which its acts take along: read from the address or a form."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Self

from fastapi import Depends, Request

from models.triage import NEEDING_A_PERSON, Selection
from models.vocabulary import Action, Outcome, Reason
from worker.console.filters import read_text, read_time, read_word
from worker.console.people import TheNow
from worker.console.refusals import invalid

# Not `reason`: that is the field of an act's own.
FIELDS: Final = ("outcome", "partner", "ticket", "action", "because", "since", "until")


@dataclass(frozen=True, slots=True)
class EventFilter:
    """What is asked for. *query* is that as it was written: the state of the page."""

    outcome: Outcome
    selection: Selection
    query: dict[str, str]

    @classmethod
    def read(cls, given: dict[str, Any], now: datetime) -> Self:
        """Read the fields. Raises PageRefused (422)."""
        query = {name: str(given[name]) for name in FIELDS if given.get(name)}
        action = read_word("Action", query.get("action"), Action)
        reason = read_word("Reason", query.get("because"), Reason)
        selection = Selection(
            operator=read_text("Partner", query.get("partner")),
            ticket_id=read_text("Ticket", query.get("ticket")),
            action=None if action is None else action.value,
            reason=None if reason is None else reason.value,
            since=read_time("From", query.get("since"), now),
            until=read_time("To", query.get("until"), now),
        )
        return cls(read_outcome(query.get("outcome")), selection, query)


def read_outcome(given: str | None) -> Outcome:
    """Return the outcome of the list, rejected by default. Raises PageRefused (422)."""
    outcome = read_word("Outcome", given, Outcome) or Outcome.REJECTED
    if outcome not in NEEDING_A_PERSON:
        raise invalid(
            f"Outcome: {outcome.value} events need nobody. The list has rejected, parked and"
            " superseded ones."
        )
    return outcome


def _of_address(request: Request, now: TheNow) -> EventFilter:
    return EventFilter.read(dict(request.query_params), now)


TheEventFilter = Annotated[EventFilter, Depends(_of_address)]
