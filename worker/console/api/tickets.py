"""`/tickets`: a ticket's history, and what a person does with a ticket as a whole."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import Field
from sqlalchemy import Connection

from models.history import TicketHistory, load_histories, why_not_closed
from models.operators.interventions import Person
from models.platform.errors import NotFoundError
from models.tickets.tombstones import why_removed
from models.triage import (
    UNENDED,
    HeldTicket,
    ReleasedTicket,
    TicketOnHold,
    UnendedTicket,
    hold_ticket,
    list_on_hold,
    list_unended,
    release_ticket,
)
from models.triage.by_hand import PublishedEvent, Statement, publish_by_hand
from models.triage.standing import require_standing, standing_of
from models.vocabulary import Action, Status
from worker.console.addresses import PathId
from worker.console.api.acts import ActBody, SupportAct
from worker.console.api.answers import After, ApiPage, Code, Limit, answer, answer_page
from worker.console.api.authentication import ApiNow, TokenFirst, ViewerToken
from worker.console.api.openapi import acts, reads
from worker.console.console import TheConsole
from worker.console.cursors import read_cursor
from worker.console.display.masked_history import history_for

PublishedAction = Literal[
    "ticket_win", "ticket_lost", "ticket_void", "ticket_refund", "ticket_rollback"
]
HELD_MAX: Final = 1000

routes = APIRouter(tags=["tickets"], route_class=TokenFirst)


@dataclass(frozen=True, slots=True)
class ExplainedTicket:
    """A ticket's history; *sentence* says why it stands where it stands, and when it closes.

    *standing* is what an act may compare.
    """

    sentence: str
    standing: str
    history: TicketHistory


class TicketActBody(ActBody):
    """What is done with a ticket, perhaps only as long as it stands as it was seen."""

    expected: Annotated[str, Field(min_length=1, max_length=1000)] | None = Field(
        default=None,
        description="The ticket's `standing` as it was read. If it has changed meanwhile, the"
        " response is 409 and nothing is done.",
    )

    def require_standing(self, connection: Connection, operator: str, ticket_id: str) -> None:
        """Lock the ticket. Raises ChangedMeanwhile."""
        if self.expected is not None:
            require_standing(connection, operator, ticket_id, self.expected)


class PublishBody(TicketActBody):
    """A result or a rollback that a person publishes."""

    action: PublishedAction
    facts: Annotated[dict[str, str | int | float | bool | None], Field(max_length=20)] = Field(
        default_factory=dict,
        description="As in an event: amounts in the currency's minor unit, `currency`, `reason`.",
    )
    correction: bool = Field(default=False, description="It replaces the current result.")


class TicketNotFound(NotFoundError):
    """There is no such ticket."""

    def __init__(self, operator: str, ticket_id: str, removed: str | None) -> None:
        """Name it, and say that it was *removed*, or where else to look."""
        super().__init__(
            removed
            or f"there is no ticket {ticket_id[:80]} of operator {operator[:80]}; input that was"
            " refused before it became an event is found by /search"
        )


@routes.get("/tickets", response_model=ApiPage[UnendedTicket], responses=reads())
async def unended(
    holder: ViewerToken,
    console: TheConsole,
    operator: Annotated[str, Query(min_length=1, max_length=64)],
    status: Annotated[list[Status] | None, Query(max_length=len(Status))] = None,
    after: After = None,
    limit: Limit = 50,
) -> JSONResponse:
    """List an operator's tickets that are neither closed nor cancelled, oldest first."""
    place = read_cursor(after, str)
    page = await console.read(
        lambda connection: list_unended(
            connection, operator=operator, statuses=status or UNENDED, after=place, limit=limit
        )
    )
    return answer_page(holder, page.lines, page.next)


@routes.get("/tickets-on-hold", response_model=ApiPage[TicketOnHold], responses=reads())
async def on_hold(
    holder: ViewerToken,
    console: TheConsole,
    operator: Code = None,
) -> JSONResponse:
    """List the tickets that people hold, those held longest first; at most 1,000."""
    tickets = await console.read(
        lambda connection: list_on_hold(connection, operator=operator, limit=HELD_MAX)
    )
    return answer_page(holder, tickets, None)


@routes.get("/tickets/{operator}/{ticket_id}", response_model=ExplainedTicket, responses=reads())
async def ticket(
    holder: ViewerToken, console: TheConsole, now: ApiNow, operator: PathId, ticket_id: PathId
) -> JSONResponse:
    """Show a ticket: its state and why it is not closed, its events, notices and attempts."""

    def load(connection: Connection) -> ExplainedTicket:
        for history in load_histories(connection, ticket_id, operator=operator):
            shown = history_for(holder.role, history)  # before the sentence, which quotes it
            return ExplainedTicket(
                why_not_closed(shown, now=now), standing_of(history.ticket), shown
            )
        removed = why_removed(connection, ticket_id, operator=operator)
        raise TicketNotFound(operator, ticket_id, removed)

    return answer(holder, await console.read(load))


@routes.post("/tickets/{operator}/{ticket_id}/hold", response_model=HeldTicket, responses=acts())
async def hold(
    act: SupportAct, body: TicketActBody, operator: PathId, ticket_id: PathId
) -> Response:
    """Put a ticket on hold: nothing is sent, and it does not close, until its release."""

    def work(connection: Connection, person: Person, now: datetime) -> HeldTicket:
        body.require_standing(connection, operator, ticket_id)
        return hold_ticket(connection, operator, ticket_id, person=person, now=now)

    return await act.carry_out(body, work)


@routes.post(
    "/tickets/{operator}/{ticket_id}/release", response_model=ReleasedTicket, responses=acts()
)
async def release(
    act: SupportAct, body: TicketActBody, operator: PathId, ticket_id: PathId
) -> Response:
    """Release a ticket from its hold: its notices are sent, and its closing is due again."""

    def work(connection: Connection, person: Person, now: datetime) -> ReleasedTicket:
        body.require_standing(connection, operator, ticket_id)
        return release_ticket(connection, operator, ticket_id, person=person, now=now)

    return await act.carry_out(body, work)


@routes.post(
    "/tickets/{operator}/{ticket_id}/publish", response_model=PublishedEvent, responses=acts()
)
async def publish(
    act: SupportAct, body: PublishBody, operator: PathId, ticket_id: PathId
) -> Response:
    """Publish a result or a rollback by hand: an event that happens now, with your name in it."""
    statement = Statement(
        Action(body.action), body.facts, correction=body.correction, event_id=None
    )
    window = act.console.settings.parking_window

    def work(connection: Connection, person: Person, now: datetime) -> PublishedEvent:
        body.require_standing(connection, operator, ticket_id)
        return publish_by_hand(
            connection, operator, ticket_id, statement, person=person, now=now, window=window
        )

    return await act.carry_out(body, work)
