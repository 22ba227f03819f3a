"""Events that did not go through: by reason, and one by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from models.lifecycle.advance import NO_WINDOW
from models.triage import NEEDING_A_PERSON, Listed
from models.triage.event_pages import (
    COUNTED_MAX,
    OpenEventPage,
    OpenEventPlace,
    ReasonOverview,
    count_by_reason,
    count_open,
    list_open_events,
)
from models.triage.event_sentences import remedy
from models.users import Role, SignedInUser
from models.vocabulary import INBOUND, Outcome, Reason
from worker.console.addresses import path_of
from worker.console.console import TheConsole
from worker.console.cursors import read_cursor
from worker.console.display.masked_events import message_for
from worker.console.live import live_response
from worker.console.pages.event_filter import TheEventFilter
from worker.console.people import Viewer
from worker.console.rendering import render

PAGE: Final = 50
TAB_MAX: Final = 1_000
MEANS: Final = {
    Outcome.REJECTED: "Refused, each with its reason, and input that could not be read.",
    Outcome.PARKED: "They wait for an earlier event, and are decided by themselves once it comes.",
    Outcome.SUPERSEDED: "Older than their ticket's result. A true one comes from a slow clock.",
}

routes = APIRouter()


@dataclass(frozen=True, slots=True)
class OpenEventLine:
    """An event as the list shows it to the person."""

    event: Listed
    message: str | None
    advice: str | None
    path: str
    waits_for_partner: bool

    @classmethod
    def of(cls, event: Listed, user: SignedInUser) -> "OpenEventLine":
        """Return the line of *event* for *user*."""
        return cls(
            event,
            message_for(user.role, event.message),
            remedy(event.reason),
            path_of_event(event),
            event.park_until is not None and event.park_until >= NO_WINDOW,
        )


def path_of_event(event: Listed) -> str:
    """Return the path of the event's page."""
    if event.is_raw:
        return path_of("events", "one", query={"entry": event.entry_id})
    key = {"operator": event.operator, "ticket": event.ticket_id, "event": event.event_id}
    return path_of("events", "one", query=key)


@dataclass(frozen=True, slots=True)
class EventsReading:
    """What the page reads."""

    tabs: Sequence[tuple[Outcome, int]]
    overview: ReasonOverview | None  # on the first page
    page: OpenEventPage


@routes.get("/events")
async def events(
    request: Request,
    user: Viewer,
    console: TheConsole,
    chosen: TheEventFilter,
    after: str | None = None,
) -> Response:
    """Show the events of one outcome that match."""
    place = read_cursor(after, OpenEventPlace)

    def read(connection: Connection) -> EventsReading:
        outcome, selection = chosen.outcome, chosen.selection
        return EventsReading(
            [(each, count_open(connection, each, most=TAB_MAX)[0]) for each in NEEDING_A_PERSON],
            count_by_reason(connection, outcome, selection) if place is None else None,
            list_open_events(connection, outcome, selection, after=place, limit=PAGE),
        )

    reading = await console.read(read)
    reasons = reading.overview.reasons if reading.overview else ()
    return render(
        request,
        "events.html",
        chosen=chosen,
        query=chosen.query,
        narrowed=len(chosen.query) > ("outcome" in chosen.query),
        means=MEANS[chosen.outcome],
        tabs=reading.tabs,
        tab_max=TAB_MAX,
        overview=reading.overview,
        counted_max=COUNTED_MAX,
        reasons=[(each, OpenEventLine.of(each.newest, user)) for each in reasons],
        page=reading.page,
        lines=[OpenEventLine.of(event, user) for event in reading.page.lines],
        first=place is None,
        actions=sorted(INBOUND),
        reason_words=sorted(Reason),
        may_resolve_all=user.role.allows(Role.OPERATIONS),
    )


@routes.get("/events/live")
async def live(request: Request, user: Viewer, chosen: TheEventFilter) -> Response:
    """Say when one of the newest came or went."""
    return live_response(
        request, user, lambda connection: count_open(connection, chosen.outcome, most=TAB_MAX)
    )
