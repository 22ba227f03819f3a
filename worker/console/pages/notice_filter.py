"""The filter of the page of notices, which its acts take along: read from the address or a form."""

from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final, Self

from fastapi import Depends, Request

from models.triage import NoticeOutcome, Selection
from models.users import SignedInUser
from models.vocabulary import Action
from worker.console.display.personal import sees_personal
from worker.console.filters import read_status, read_text, read_time, read_word
from worker.console.people import SignedIn, TheNow
from worker.console.refusals import PageRefused

# Not `reason`: that is the field of an act's own.
FIELDS: Final = ("outcome", "partner", "action", "status", "answer", "because", "since", "until")


@dataclass(frozen=True, slots=True)
class NoticeFilter:
    """What is asked for. *query* is that as it was written: the state of the page."""

    outcome: NoticeOutcome
    selection: Selection
    query: dict[str, str]

    @classmethod
    def read(cls, given: dict[str, Any], user: SignedInUser, now: datetime) -> Self:
        """Read the fields. Raises PageRefused: 422, or 403 for a viewer who looks into answers."""
        query = {name: str(given[name]) for name in FIELDS if given.get(name)}
        action = read_word("Action", query.get("action"), Action)
        selection = Selection(
            operator=read_text("Partner", query.get("partner")),
            action=None if action is None else action.value,
            reason=read_text("Reason", query.get("because")),
            since=read_time("From", query.get("since"), now),
            until=read_time("To", query.get("until"), now),
            http_status=read_status("HTTP status", query.get("status")),
            answer=read_text("Answer", query.get("answer")),
        )
        if (selection.answer or selection.reason) and not sees_personal(user.role):
            raise PageRefused(
                HTTPStatus.FORBIDDEN,
                "Not allowed",
                "What partners answered may name a player, so looking for a text in it needs the"
                " role support. Everything else can be filtered.",
            )
        outcome = read_word("Outcome", query.get("outcome"), NoticeOutcome) or NoticeOutcome.DEAD
        return cls(outcome, selection, query)


def _of_address(request: Request, user: SignedIn, now: TheNow) -> NoticeFilter:
    return NoticeFilter.read(dict(request.query_params), user, now)


TheFilter = Annotated[NoticeFilter, Depends(_of_address)]
