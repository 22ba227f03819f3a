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
from producers.gateway.authentication import Publishing
from producers.gateway.bodies import read_body
from producers.gateway.errors import Fault, Refused, invalid
from producers.gateway.event_validation import watch
from producers.gateway.gateway import TheGateway
from producers.gateway.openapi import answers
from producers.gateway.parameters import only_known
from producers.publisher.schemas import lottery_schema

# Asked for the few messages alone whose ids are too long where the answer is yes.
PER_DRAW: Final = text("SELECT lottery_ticket = 'ticket+draw' FROM operator WHERE code = :code")
_FORBIDDEN: Final = 403
_WRONG_KIND: Final = 415
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
    responses=answers(401, 403, 408, 413, 415, 422, 429),
    openapi_extra={"requestBody": _body()},
    dependencies=[only_known(elsewhere={"dry_run": "`POST /events`, which alone has it"})],
)
async def lottery(request: Request, gateway: TheGateway, holder: Publishing) -> LotteryAccepted:
    """Take a `Bet` or a `Settlement`; whose it is says the key, which is bound to one operator.

    A repeated delivery counts once. What the ticket makes of it is told by `GET /tickets/...`.
    """
    kind = request.headers.get("content-type", _JSON).partition(";")[0].strip().lower()
    if kind != _JSON:
        raise Refused(_WRONG_KIND, f"Content-Type must be {_JSON}; it is {kind[:100]}")
    operator = _only_operator(holder)
    now = watch(holder.now)
    body = without_byte_order_mark(
        await read_body(request, gateway.limits, most=gateway.limits.event_bytes)
    )
    problem = lottery_problem(body, now=now(), age_max=gateway.settings.event_age_max)
    if problem is None and (too_long := message_draw_id_problem(body)) is not None:
        asked = {"code": operator}
        if await gateway.in_transaction(lambda it: it.execute(PER_DRAW, asked).scalar_one()):
            problem = Refusal(Reason.INVALID_EVENT, too_long)
    if problem is not None:
        fault = Fault(at=["body"], message=str(problem))
        raise invalid("the message is refused; nothing was published", [fault])
    entry = {
        TYPE_FIELD: LOTTERY_TYPE,
        OPERATOR_FIELD: operator.encode(),
        EVENT_FIELD: body,
    }
    await gateway.threads.run(lambda: gateway.stream.add([entry]))
    return LotteryAccepted()


def _only_operator(holder: KeyHolder) -> str:
    if len(holder.operators) != 1:
        raise Refused(
            _FORBIDDEN,
            "the lottery feed needs a key that is bound to one operator"
            " (`slipway publishers add NAME --operator CODE`)",
        )
    return holder.operators[0]
