"""The Bet Engine API: `paid`, and an operator's own tickets (contracts 1.7 to 1.9)."""

from typing import Annotated, Final, assert_never

from fastapi import APIRouter, Query, Request
from pydantic import StringConstraints
from pydantic.json_schema import SkipJsonSchema

from models.bet_engine import (
    NotOffered,
    NotReserved,
    Paid,
    TicketObject,
    UnknownTicket,
    find_ticket,
    list_tickets,
    pay,
)
from producers.gateway.authentication import SignedCaller
from producers.gateway.errors import Error, RequestRefused
from producers.gateway.gateway import TheGateway
from producers.gateway.openapi import SIGNED, error_responses
from producers.gateway.parameters import Identifier, known_parameters_only
from producers.gateway.traces import traceparent_of

LISTED: Final = 10
LISTED_MAX: Final = 100
_BAD_REQUEST: Final = 400
_NOT_OFFERED: Final = 100
_UNKNOWN: Final = 102
_NOT_RESERVED: Final = 117

# A player's id or a ticket's type has at most 255 characters and no spaces.
_NO_SPACES: Final = r"^[^\x00-\x20\x7f]*$"
UserId = Annotated[
    Annotated[str, StringConstraints(max_length=255, pattern=_NO_SPACES)] | SkipJsonSchema[None],
    Query(description="Only this player's tickets."),
]
TicketType = Annotated[str, StringConstraints(max_length=255, pattern=_NO_SPACES)]
SkipTypes = Annotated[
    list[TicketType],
    Query(
        default_factory=list,
        max_length=20,
        description="Leave out tickets of this type; repeat it for more.",
    ),
]
Limit = Annotated[int, Query(ge=1, le=LISTED_MAX, description="Maximum number of tickets.")]

routes = APIRouter(prefix="/be", tags=["Bet Engine API"])


@routes.post(
    "/tickets/{identifier}/paid",
    operation_id="be_paid",
    responses=error_responses(400, 403, 408, 413, 415, 429),
    openapi_extra=SIGNED,
)
async def paid(
    request: Request, gateway: TheGateway, caller: SignedCaller, identifier: Identifier
) -> TicketObject:
    """Mark the ticket as paid: `reserved` becomes `open`.

    Errors are 400 with the code 100 (seamless operators have no `paid`), 102 (no such ticket) or
    117 (it is not `reserved`; also the response to the second of two calls).
    """
    traceparent = traceparent_of(request)
    outcome = await gateway.in_transaction(
        lambda connection: pay(
            connection,
            caller,
            identifier,
            clock=gateway.clock,
            parking_window=gateway.settings.parking_window,
            traceparent=traceparent,
        )
    )
    match outcome:
        case Paid(ticket):
            return ticket
        case UnknownTicket():
            raise _unknown(identifier)
        case NotReserved():
            raise RequestRefused(
                _BAD_REQUEST,
                "Ticket has to have `reserved` status in order to do this action",
                code=_NOT_RESERVED,
            )
        case NotOffered():
            raise _not_offered("paid")
        case _:
            assert_never(outcome)


@routes.get(
    "/tickets/{identifier}",
    operation_id="be_ticket",
    responses=error_responses(400, 403, 408, 413, 415, 429),
    openapi_extra=SIGNED,
)
async def ticket(gateway: TheGateway, caller: SignedCaller, identifier: Identifier) -> TicketObject:
    """Return one of the operator's own tickets; 400 with code 102 if there is none."""
    result = await gateway.in_transaction(
        lambda connection: find_ticket(connection, caller, identifier)
    )
    if result is None:
        raise _unknown(identifier)
    return result


@routes.get(
    "/tickets",
    operation_id="be_tickets",
    responses=error_responses(403, 408, 413, 415, 422, 429),
    openapi_extra=SIGNED,
    dependencies=[known_parameters_only("limit", "user_id", many=["skip_types"])],
)
async def tickets(
    gateway: TheGateway,
    caller: SignedCaller,
    *,
    limit: Limit = LISTED,
    user_id: UserId = None,
    skip_types: SkipTypes,
) -> list[TicketObject]:
    """List the operator's own tickets, newest first."""
    return await gateway.in_transaction(
        lambda connection: list_tickets(
            connection, caller, limit=limit, user_id=user_id, skip_types=skip_types
        )
    )


@routes.post(
    "/tickets",
    operation_id="be_create",
    status_code=_BAD_REQUEST,
    response_description="Code 100, always.",
    responses=error_responses(403, 408, 413, 415, 429),
    openapi_extra=SIGNED,
)
async def create(_caller: SignedCaller) -> Error:
    """Not supported: tickets are placed upstream. Always 400 with code 100."""
    raise _not_offered("create")


@routes.post(
    "/tickets/reserve",
    operation_id="be_reserve",
    status_code=_BAD_REQUEST,
    response_description="Code 100, always.",
    responses=error_responses(403, 408, 413, 415, 429),
    openapi_extra=SIGNED,
)
async def reserve(_caller: SignedCaller) -> Error:
    """Not supported: tickets are reserved upstream. Always 400 with code 100."""
    raise _not_offered("reserve")


def _unknown(identifier: str) -> RequestRefused:
    message = f"Ticket with `{identifier}` identifier is not found"
    return RequestRefused(_BAD_REQUEST, message, code=_UNKNOWN)


def _not_offered(feature: str) -> RequestRefused:
    return RequestRefused(_BAD_REQUEST, f"{feature} feature not implemented yet", code=_NOT_OFFERED)
