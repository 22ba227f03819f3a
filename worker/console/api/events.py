"""`/events`: those that did not go through; one by its id; retry and drop."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import Field
from sqlalchemy import Connection

from models.history.event_log import EventsById, LogLine, Place, find_events_by_id, list_not_applied
from models.operators.interventions import Person
from models.outbox.dead_letters import ChangedMeanwhile
from models.platform.errors import NotFoundError
from models.triage import (
    EventResolution,
    LoggedEvent,
    RawInput,
    drop_events,
    drop_raw,
    find_events,
    find_raw,
    retry_events,
    retry_raw,
)
from models.vocabulary import Outcome
from worker.console.addresses import PathId
from worker.console.api.acts import ActBody, SupportAct
from worker.console.api.answers import After, ApiPage, Code, Limit, answer, answer_page
from worker.console.api.authentication import TokenFirst, ViewerToken
from worker.console.api.openapi import acts, reads
from worker.console.api.times import GivenTime
from worker.console.console import TheConsole
from worker.console.cursors import read_cursor

routes = APIRouter(tags=["events"], route_class=TokenFirst)


class OpenOutcome(StrEnum):
    """How an event stands that needs a person."""

    PARKED = "parked"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"


class EventBody(ActBody):
    """A retry or a drop of an event, as it was seen."""

    outcome: OpenOutcome = Field(
        description="How the event stands, as it was listed. If that has changed meanwhile, nothing"
        " is done."
    )


class RetryEventBody(EventBody):
    """A retry of an event."""

    as_now: bool = Field(default=False, description="Decide it as if it happened now.")


@dataclass(frozen=True, slots=True)
class ResolvedEvents:
    """The event that was chosen, and those that were decided along with it."""

    events: Sequence[EventResolution]


@dataclass(frozen=True, slots=True)
class ShownEvents:
    """The events with an id on a ticket, with their data."""

    events: Sequence[LoggedEvent]


class EventNotFound(NotFoundError):
    """There is no such event, or no such input."""


@routes.get("/events", response_model=ApiPage[LogLine], responses=reads())
async def events(
    holder: ViewerToken,
    console: TheConsole,
    outcome: Annotated[list[OpenOutcome] | None, Query(max_length=len(OpenOutcome))] = None,
    operator: Code = None,
    since: GivenTime | None = None,
    after: After = None,
    limit: Limit = 50,
) -> JSONResponse:
    """List events that were not applied, newest first; `rejected` includes input never read.

    With `operator` a page may hold few lines, or none, and have a next one.
    """
    place = read_cursor(after, Place)
    outcomes = [Outcome(each) for each in outcome or OpenOutcome]
    page = await console.read(
        lambda connection: list_not_applied(
            connection,
            outcomes,
            operators=None if operator is None else [operator],
            since=since,
            after=place,
            limit=limit,
        )
    )
    return answer_page(holder, page.lines, page.next)


@routes.get("/events/{event_id}", response_model=EventsById, responses=reads())
async def by_id(
    holder: ViewerToken, console: TheConsole, event_id: PathId, operator: Code = None
) -> JSONResponse:
    """Find the events with this id, on whichever tickets, and how each ended."""
    operators = None if operator is None else [operator]
    log = await console.read(
        lambda connection: find_events_by_id(connection, event_id, operators=operators)
    )
    return answer(holder, log)


@routes.get(
    "/tickets/{operator}/{ticket_id}/events/{event_id}",
    response_model=LoggedEvent,
    responses=reads(),
)
async def event(
    holder: ViewerToken, console: TheConsole, operator: PathId, ticket_id: PathId, event_id: PathId
) -> JSONResponse:
    """Show an event of a ticket: its data, how it was decided and why, what it caused."""

    def find(connection: Connection) -> LoggedEvent:
        return _found(connection, operator, ticket_id, event_id)

    return answer(holder, await console.read(find))


@routes.post(
    "/tickets/{operator}/{ticket_id}/events/{event_id}/retry",
    response_model=ResolvedEvents,
    responses=acts(),
)
async def retry(
    act: SupportAct, body: RetryEventBody, operator: PathId, ticket_id: PathId, event_id: PathId
) -> Response:
    """Decide an event again that is parked, rejected or superseded."""
    window = act.console.settings.parking_window

    def work(connection: Connection, person: Person, now: datetime) -> ResolvedEvents:
        chosen = _as_seen(connection, operator, ticket_id, event_id, body.outcome)
        resolved = retry_events(
            connection,
            chosen.key.ticket,
            [event_id],
            outcome=Outcome(body.outcome),
            as_now=body.as_now,
            now=now,
            window=window,
            person=person,
        )
        return ResolvedEvents(resolved)

    return await act.carry_out(body, work)


@routes.post(
    "/tickets/{operator}/{ticket_id}/events/{event_id}/drop",
    response_model=ResolvedEvents,
    responses=acts(),
)
async def drop(
    act: SupportAct, body: EventBody, operator: PathId, ticket_id: PathId, event_id: PathId
) -> Response:
    """Drop an event: it stays in the history and leaves the list; a parked one is rejected."""
    window = act.console.settings.parking_window

    def work(connection: Connection, person: Person, now: datetime) -> ResolvedEvents:
        chosen = _as_seen(connection, operator, ticket_id, event_id, body.outcome)
        resolved = drop_events(
            connection,
            chosen.key.ticket,
            [event_id],
            outcome=Outcome(body.outcome),
            now=now,
            window=window,
            person=person,
        )
        return ResolvedEvents(resolved)

    return await act.carry_out(body, work)


@routes.get("/rejected-input/{entry_id}", response_model=RawInput, responses=reads())
async def raw_input(holder: ViewerToken, console: TheConsole, entry_id: PathId) -> JSONResponse:
    """Show input that was refused before it became an event, as it came."""
    rejected = await console.read(lambda connection: find_raw(connection, entry_id))
    if rejected is None:
        raise EventNotFound(f"there is no rejected input of entry {entry_id[:80]}")
    return answer(holder, rejected)


@routes.post("/rejected-input/{entry_id}/retry", response_model=EventResolution, responses=acts())
async def retry_input(act: SupportAct, body: ActBody, entry_id: PathId) -> Response:
    """Read rejected input again, and apply it if it has become possible."""
    settings = act.console.settings

    def work(connection: Connection, person: Person, now: datetime) -> EventResolution:
        return retry_raw(
            connection,
            entry_id,
            age_max=settings.event_age_max,
            now=now,
            window=settings.parking_window,
            person=person,
        )

    return await act.carry_out(body, work)


@routes.post("/rejected-input/{entry_id}/drop", response_model=EventResolution, responses=acts())
async def drop_input(act: SupportAct, body: ActBody, entry_id: PathId) -> Response:
    """Drop rejected input: it stays stored, and leaves the list."""
    return await act.carry_out(
        body,
        lambda connection, person, now: drop_raw(connection, entry_id, now=now, person=person),
    )


def _found(connection: Connection, operator: str, ticket_id: str, event_id: str) -> LoggedEvent:
    logged = find_events(connection, event_id, operator=operator, ticket_id=ticket_id)
    if not logged:
        raise EventNotFound(
            f"there is no event {event_id[:80]} on ticket {ticket_id[:80]} of {operator[:80]}"
        )
    return logged[0]


def _as_seen(
    connection: Connection, operator: str, ticket_id: str, event_id: str, outcome: str
) -> LoggedEvent:
    """Return the event if it stands as the client saw it; the act checks that under its lock."""
    logged = _found(connection, operator, ticket_id, event_id)
    if logged.outcome != outcome:
        raise ChangedMeanwhile(
            f"event {event_id[:80]} is {logged.outcome}, not {outcome}; nothing was done"
        )
    return logged
