"""`GET /events`, `GET /events/{event_id}`, `GET /tickets/{ticket_id}`: outcomes and histories."""

import base64
import binascii
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import Field, StringConstraints, TypeAdapter, ValidationError
from pydantic.json_schema import SkipJsonSchema
from sqlalchemy import Connection

from models.events.stream_contract import ID_CHARACTERS_MAX
from models.history import TicketHistory, load_histories, public, why_not_closed
from models.history.event_log import (
    LISTABLE,
    SEARCHED_MAX,
    EventLogPage,
    EventsById,
    Place,
    find_events_by_id,
    list_not_applied,
)
from models.platform.timestamps import TIMESTAMP_PATTERN, parse_timestamp
from models.publishers.keys import KeyHolder
from models.tickets.tombstones import why_removed
from models.vocabulary import Outcome, Status
from producers.gateway.authentication import ReadingHolder
from producers.gateway.errors import ErrorDetail, RequestRefused, invalid_request
from producers.gateway.gateway import TheGateway
from producers.gateway.openapi import error_responses
from producers.gateway.parameters import EventId, TicketId, known_parameters_only
from producers.gateway.responses import (
    EventOutcome,
    EventOutcomes,
    EventPage,
    TicketDetails,
    TicketDetailsList,
)

LISTED: Final = 100
LISTED_MAX: Final = 500
_NOT_FOUND: Final = 404
_ONE: Final = "|".join(LISTABLE)
_ALL: Final = ",".join(LISTABLE)

OutcomeList = Annotated[
    str,
    Query(
        pattern=f"^({_ONE})(,({_ONE}))*$",
        max_length=100,
        description="Some of `parked`, `rejected`, `superseded`, separated by commas.",
    ),
]
Since = Annotated[
    Annotated[
        str,
        Field(json_schema_extra={"pattern": TIMESTAMP_PATTERN}),
    ]
    | SkipJsonSchema[None],
    Query(
        description="Only events that ended, or were parked, at or after this time: RFC 3339 with"
        " an offset (write a plus sign in a URL as %2B).",
    ),
]
After = Annotated[
    Annotated[str, StringConstraints(max_length=200)] | SkipJsonSchema[None],
    Query(description="The `next` of the previous page."),
]
Limit = Annotated[int, Query(ge=1, le=LISTED_MAX, description="Maximum number of events.")]
OperatorFilter = Annotated[
    str | SkipJsonSchema[None], Query(description="Only events of the operator with this code.")
]
TicketFilter = Annotated[
    str | SkipJsonSchema[None],
    Query(
        description="Only the event on the ticket with this id. It is matches no matter how many"
        " other tickets have events with the same id.",
    ),
]
_NONE_YET: Final = "an event accepted a moment ago may still be on the stream: retry"
_NOT_ALL: Final = (
    f"not all with this id were searched, since there are more than {SEARCHED_MAX:,}: add"
    " ?ticket_id=... to find the one on a ticket"
)

_PLACE: Final = TypeAdapter(tuple[datetime, int, int])

_NUMBER_MAX: Final = 2**63 - 1

routes = APIRouter()


@routes.get(
    "/events",
    operation_id="list_events",
    tags=["Events"],
    responses=error_responses(401, 422, 429),
    dependencies=[known_parameters_only("outcome", "since", "after", "limit")],
)
async def events(
    gateway: TheGateway,
    holder: ReadingHolder,
    *,
    outcome: OutcomeList = _ALL,
    since: Since = None,
    after: After = None,
    limit: Limit = LISTED,
) -> EventPage:
    """List events of the key's operators that were not applied, or not yet, newest first."""
    outcomes = [Outcome(word) for word in outcome.split(",")]
    start = None if since is None else _moment(since)
    place = None if after is None else _read_cursor(after)

    def read(connection: Connection) -> EventLogPage:
        return list_not_applied(
            connection,
            outcomes,
            operators=holder.operators or None,
            since=start,
            after=place,
            limit=limit,
        )

    page = await gateway.in_transaction(read)
    return EventPage(
        events=[EventOutcome.model_validate(line) for line in page.lines],
        next=None if page.next is None else _write_cursor(page.next),
    )


@routes.get(
    "/events/{event_id}",
    operation_id="get_event",
    tags=["Events"],
    responses=error_responses(401, 404, 422, 429),
    dependencies=[known_parameters_only("operator", "ticket_id")],
)
async def event(
    gateway: TheGateway,
    holder: ReadingHolder,
    event_id: EventId,
    *,
    operator: OperatorFilter = None,
    ticket_id: TicketFilter = None,
) -> EventOutcomes:
    """Return the outcome of the event with this id, one for each ticket it was used on.

    If many tickets have the id, only the newest are returned, and `more` is true: `ticket_id` finds
    the event on one ticket. How often other operators use the id makes no difference.
    """
    operators = _operators(holder, operator)
    ids = [value for value in (event_id, ticket_id, operator) if value is not None]

    def read(connection: Connection) -> EventsById:
        return find_events_by_id(connection, event_id, operators=operators, ticket_id=ticket_id)

    matches = EventsById((), more=False)
    if operators != [] and all(map(_is_id, ids)):
        matches = await gateway.in_transaction(read)
    if not matches.lines:
        raise RequestRefused(
            _NOT_FOUND,
            f"no event {event_id[:ID_CHARACTERS_MAX]!r}"
            f"{' on this ticket' if ticket_id is not None else ''} is visible to this key; "
            + (_NOT_ALL if matches.more and ticket_id is None else _NONE_YET),
        )
    return EventOutcomes.of(matches)


@routes.get(
    "/tickets/{ticket_id}",
    operation_id="get_ticket",
    tags=["Tickets"],
    responses=error_responses(401, 404, 422, 429),
)
async def ticket(
    gateway: TheGateway, holder: ReadingHolder, ticket_id: TicketId
) -> TicketDetailsList:
    """Return the history of the ticket with this id, one for each operator with such a ticket.

    It leaves out the player's id, undocumented fields, the text of the partner's responses, and
    who intervened by hand and why.
    """

    def read(connection: Connection) -> tuple[list[TicketHistory], list[str], datetime]:
        histories = _histories(connection, holder, ticket_id)
        removed = [] if histories else _removed(connection, holder, ticket_id)
        return histories, removed, gateway.clock.now(connection)

    histories, removed, now = (
        await gateway.in_transaction(read) if _is_id(ticket_id) else ([], [], holder.now)
    )
    visible = [
        public(history) for history in histories if history.ticket.status is not Status.ABSENT
    ]
    if not visible:
        message = f"no ticket {ticket_id[:ID_CHARACTERS_MAX]!r} is visible to this key"
        if waiting := sum(history.ticket.parked for history in histories):
            events = "1 parked event waits" if waiting == 1 else f"{waiting} parked events wait"
            message += f"; {events} for it to be opened"
        message = "; ".join([message, *removed])
        raise RequestRefused(_NOT_FOUND, message)
    return TicketDetailsList(
        tickets=[TicketDetails.of(history, why_not_closed(history, now=now)) for history in visible]
    )


def _removed(connection: Connection, holder: KeyHolder, ticket_id: str) -> list[str]:
    """Say of each operator of the key when its ticket of this id ended, if it was removed."""
    codes: list[str | None] = [*holder.operators] or [None]
    reasons = [why_removed(connection, ticket_id, operator=code) for code in codes]
    return [reason for reason in reasons if reason is not None]


def _histories(connection: Connection, holder: KeyHolder, ticket_id: str) -> list[TicketHistory]:
    if not holder.operators:
        return load_histories(connection, ticket_id)
    return [
        history
        for code in holder.operators
        for history in load_histories(connection, ticket_id, operator=code)
    ]


def _operators(holder: KeyHolder, operator: str | None) -> list[str] | None:
    """Return the operators whose events to search, or None for all of them."""
    if operator is None:
        return list(holder.operators) or None
    return [operator] if operator in holder.operators or not holder.operators else []


def _is_id(text: str) -> bool:
    """Return whether *text* can be an id; otherwise PostgreSQL is not queried."""
    return 1 <= len(text) <= ID_CHARACTERS_MAX and text.isprintable()


def _moment(text: str) -> datetime:
    try:
        return parse_timestamp(text)
    except ValueError as error:
        detail = ErrorDetail(at=["query", "since"], message=str(error))
        raise invalid_request("`since` is not a time", [detail]) from None


def _write_cursor(place: Place) -> str:
    """Encode *place* for a URL: the `next` of a page, and the `after` of the one behind it."""
    text = _PLACE.dump_json((place.at, place.kind, place.number))
    return base64.urlsafe_b64encode(text).decode("ascii").rstrip("=")


def _read_cursor(cursor: str) -> Place:
    """Decode a cursor. Raises RequestRefused (422) for anything else."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        at, kind, number = _PLACE.validate_json(text)
    except (ValueError, binascii.Error, ValidationError):
        raise _wrong_cursor() from None
    if at.tzinfo is None or max(abs(kind), abs(number)) > _NUMBER_MAX:
        raise _wrong_cursor()
    return Place(at, kind, number)


def _wrong_cursor() -> Exception:
    error = ErrorDetail(at=["query", "after"], message="take it from `next` of the previous page")
    return invalid_request("the cursor is invalid", [error])
