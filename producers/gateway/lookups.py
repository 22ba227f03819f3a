"""`GET /events`, `GET /events/{event_id}`, `GET /tickets/{ticket_id}`: what became of them."""

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
    find_event,
    list_troubled,
)
from models.platform.timestamps import TIMESTAMP_PATTERN, parse_timestamp
from models.publishers.keys import KeyHolder
from models.vocabulary import Outcome, Status
from producers.gateway.authentication import Reader
from producers.gateway.errors import Fault, Refused, invalid
from producers.gateway.gateway import TheGateway
from producers.gateway.openapi import answers
from producers.gateway.parameters import EventId, TicketId, only_known
from producers.gateway.responses import EventEnd, EventEnds, EventPage, TicketStories, TicketStory

LISTED: Final = 100
LISTED_MAX: Final = 500
_NOT_FOUND: Final = 404
_ANY: Final = "|".join(LISTABLE)
_ALL: Final = ",".join(LISTABLE)

Outcomes = Annotated[
    str,
    Query(
        pattern=f"^({_ANY})(,({_ANY}))*$",
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
        description="Only what ended, or was parked, at or after this time: RFC 3339 with an"
        " offset (a plus sign in a URL is written %2B).",
    ),
]
After = Annotated[
    Annotated[str, StringConstraints(max_length=200)] | SkipJsonSchema[None],
    Query(description="The `next` of the page before this one."),
]
Limit = Annotated[int, Query(ge=1, le=LISTED_MAX, description="The most that is listed.")]
OfOperator = Annotated[
    str | SkipJsonSchema[None], Query(description="Only events of the operator with this code.")
]
OnTicket = Annotated[
    str | SkipJsonSchema[None],
    Query(
        description="Only the event on the ticket with this id. It is found however many other"
        " tickets have events of the same id.",
    ),
]
_NONE_YET: Final = "one that was accepted a moment ago may still be on the stream: ask again"
_NOT_ALL: Final = (
    f"only the newest {SEARCHED_MAX:,} of this id were searched, over all operators: add"
    " ?ticket_id=... to find the one on a ticket"
)

_PLACE: Final = TypeAdapter(tuple[datetime, int, int])

_NUMBER_MAX: Final = 2**63 - 1

routes = APIRouter()


@routes.get(
    "/events",
    operation_id="list_events",
    tags=["Events"],
    responses=answers(401, 422, 429),
    dependencies=[only_known("outcome", "since", "after", "limit")],
)
async def events(
    gateway: TheGateway,
    holder: Reader,
    *,
    outcome: Outcomes = _ALL,
    since: Since = None,
    after: After = None,
    limit: Limit = LISTED,
) -> EventPage:
    """Events that did not go through, or not yet, newest first; those of the key's operators."""
    wanted = [Outcome(word) for word in outcome.split(",")]
    start = None if since is None else _moment(since)
    place = None if after is None else _read_cursor(after)

    def read(connection: Connection) -> EventLogPage:
        return list_troubled(
            connection,
            wanted,
            operators=holder.operators or None,
            since=start,
            after=place,
            limit=limit,
        )

    page = await gateway.in_transaction(read)
    return EventPage(
        events=[EventEnd.model_validate(line) for line in page.lines],
        next=None if page.next is None else _write_cursor(page.next),
    )


@routes.get(
    "/events/{event_id}",
    operation_id="get_event",
    tags=["Events"],
    responses=answers(401, 404, 422, 429),
    dependencies=[only_known("operator", "ticket_id")],
)
async def event(
    gateway: TheGateway,
    holder: Reader,
    event_id: EventId,
    *,
    operator: OfOperator = None,
    ticket_id: OnTicket = None,
) -> EventEnds:
    """What became of the event with this id; one answer for each ticket it was used on.

    Of an id that very many tickets have, the newest are searched, and `more` is true:
    `ticket_id` finds the event on one ticket.
    """
    operators = _narrowed(holder, operator)
    given = [one for one in (event_id, ticket_id, operator) if one is not None]

    def read(connection: Connection) -> EventsById:
        return find_event(connection, event_id, operators=operators, ticket_id=ticket_id)

    found = EventsById((), more=False)
    if operators != [] and all(map(_is_id, given)):
        found = await gateway.in_transaction(read)
    if not found.lines:
        raise Refused(
            _NOT_FOUND,
            f"no event {event_id[:ID_CHARACTERS_MAX]!r}"
            f"{' on this ticket' if ticket_id is not None else ''} is known to this key; "
            + (_NOT_ALL if found.more and ticket_id is None else _NONE_YET),
        )
    return EventEnds.of(found)


@routes.get(
    "/tickets/{ticket_id}",
    operation_id="get_ticket",
    tags=["Tickets"],
    responses=answers(401, 404, 422, 429),
)
async def ticket(gateway: TheGateway, holder: Reader, ticket_id: TicketId) -> TicketStories:
    """The whole story of the ticket with this id; one for each operator that has such a ticket.

    Without the player's id, fields that are not documented, the partner's own words, and who did
    something by hand, and why.
    """

    def read(connection: Connection) -> tuple[list[TicketHistory], datetime]:
        return _stories(connection, holder, ticket_id), gateway.clock.now(connection)

    stories, now = await gateway.in_transaction(read) if _is_id(ticket_id) else ([], holder.now)
    shown = [public(story) for story in stories if story.ticket.status is not Status.ABSENT]
    if not shown:
        message = f"no ticket {ticket_id[:ID_CHARACTERS_MAX]!r} is known to this key"
        if waiting := sum(story.ticket.parked for story in stories):
            wait = "1 parked event waits" if waiting == 1 else f"{waiting} parked events wait"
            message += f"; {wait} for it to be opened"
        raise Refused(_NOT_FOUND, message)
    return TicketStories(
        tickets=[TicketStory.of(story, why_not_closed(story, now=now)) for story in shown]
    )


def _stories(connection: Connection, holder: KeyHolder, ticket_id: str) -> list[TicketHistory]:
    if not holder.operators:
        return load_histories(connection, ticket_id)
    return [
        story
        for code in holder.operators
        for story in load_histories(connection, ticket_id, operator=code)
    ]


def _narrowed(holder: KeyHolder, operator: str | None) -> list[str] | None:
    """Whose events are asked for; None: any operator's."""
    if operator is None:
        return list(holder.operators) or None
    return [operator] if operator in holder.operators or not holder.operators else []


def _is_id(text: str) -> bool:
    """Whether anything can have this id: PostgreSQL is not even asked for anything else."""
    return 1 <= len(text) <= ID_CHARACTERS_MAX and text.isprintable()


def _moment(text: str) -> datetime:
    try:
        return parse_timestamp(text)
    except ValueError as error:
        fault = Fault(at=["query", "since"], message=str(error))
        raise invalid("`since` is not a time", [fault]) from None


def _write_cursor(place: Place) -> str:
    """Encode *place* for a URL: the `next` of a page, and the `after` of the one behind it."""
    text = _PLACE.dump_json((place.at, place.kind, place.number))
    return base64.urlsafe_b64encode(text).decode("ascii").rstrip("=")


def _read_cursor(word: str) -> Place:
    """Decode a cursor. Raises Refused (422) for anything else."""
    try:
        text = base64.urlsafe_b64decode(word + "=" * (-len(word) % 4))
        at, kind, number = _PLACE.validate_json(text)
    except (ValueError, binascii.Error, ValidationError):
        raise _wrong_cursor() from None
    if at.tzinfo is None or max(abs(kind), abs(number)) > _NUMBER_MAX:
        raise _wrong_cursor()
    return Place(at, kind, number)


def _wrong_cursor() -> Exception:
    fault = Fault(at=["query", "after"], message="take it from `next` of the page before")
    return invalid("the cursor cannot be read", [fault])
