"""The lottery feed, `POST /v2/integration/lottery` (contracts 3)."""

from typing import Any, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel
from sqlalchemy import text

from models.events.encoding import without_byte_order_mark
from models.events.lottery import lottery_problem, message_draw_id_problem
from models.events.refusal import Refusal
from models.events.stream_contract import EVENT_FIELD, LOTTERY_TYPE, OPERATOR_FIELD, TYPE_FIELD
from models.publishers.keys import KeyHolder
from models.vocabulary import Reason
from producers.gateway.authentication import KEY_HEADER, PublishingHolder
from producers.gateway.bodies import read_body
from producers.gateway.errors import ErrorDetail, RequestRefused, invalid_request
from producers.gateway.event_validation import operator_ended, running_clock
from producers.gateway.gateway import TheGateway
from producers.gateway.openapi import error_responses
from producers.gateway.parameters import known_parameters_only
from producers.gateway.traces import traceparent_of
from producers.publisher.schemas import lottery_schema

# Queried only for the few messages whose ids are too long if the result is true.
SELECT_TICKET_PER_DRAW: Final = text(
    "SELECT lottery_ticket = 'ticket+draw' FROM operator WHERE code = :code"
)
_FORBIDDEN: Final = 403
_UNSUPPORTED_MEDIA_TYPE: Final = 415
_JSON: Final = "application/json"


class LotteryAccepted(BaseModel):
    """The message is on the stream."""

    accepted: int = 1


def _body() -> dict[str, Any]:
    return {"required": True, "content": {_JSON: {"schema": lottery_schema(alone=False)}}}


routes = APIRouter(tags=["Lottery"])


@routes.post(
    "/v2/integration/lottery",
    operation_id="lottery",
    response_description="The message is on the stream.",
    responses=error_responses(401, 403, 408, 413, 415, 422, 429),
    openapi_extra={"requestBody": _body()},
    dependencies=[
        known_parameters_only(elsewhere={"dry_run": "`POST /events`, which alone has it"})
    ],
)
async def lottery(
    request: Request, gateway: TheGateway, holder: PublishingHolder
) -> LotteryAccepted:
    """Publish a `Bet` or a `Settlement`. The key, which is bound to one operator, says whose it is.

    A repeated delivery counts once. `GET /tickets/...` shows its effect on the ticket.
    """
    media_type = request.headers.get("content-type", _JSON).partition(";")[0].strip().lower()
    if media_type != _JSON:
        raise RequestRefused(
            _UNSUPPORTED_MEDIA_TYPE, f"Content-Type must be {_JSON}; it is {media_type[:100]}"
        )
    operator = _only_operator(holder)
    if operator in holder.ended:
        error = ErrorDetail(at=[KEY_HEADER], message=operator_ended(operator))
        raise invalid_request("nothing was published", [error])
    now = running_clock(holder.now)
    body = without_byte_order_mark(
        await read_body(request, gateway.limits, most=gateway.limits.event_bytes)
    )
    problem = lottery_problem(body, now=now(), age_max=gateway.settings.event_age_max)
    if problem is None and (too_long := message_draw_id_problem(body)) is not None:
        parameters = {"code": operator}
        if await gateway.in_transaction(
            lambda connection: connection.execute(SELECT_TICKET_PER_DRAW, parameters).scalar_one()
        ):
            problem = Refusal(Reason.INVALID_EVENT, too_long)
    if problem is not None:
        error = ErrorDetail(at=["body"], message=str(problem))
        raise invalid_request("the message is invalid; nothing was published", [error])
    entry = {
        TYPE_FIELD: LOTTERY_TYPE,
        OPERATOR_FIELD: operator.encode(),
        EVENT_FIELD: body,
    }
    traceparent = traceparent_of(request)
    await gateway.threads.run(lambda: gateway.stream.add([entry], traceparent=traceparent))
    return LotteryAccepted()


def _only_operator(holder: KeyHolder) -> str:
    if len(holder.operators) != 1:
        raise RequestRefused(
            _FORBIDDEN,
            "the lottery feed requires a key that is bound to one operator"
            " (`slipway publishers add NAME --operator CODE`)",
        )
    return holder.operators[0]
