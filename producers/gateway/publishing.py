"""`POST /events`: from any language, one event or many."""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response

from producers.gateway.authentication import KEY_HEADER, Publishing
from producers.gateway.errors import Refused
from producers.gateway.gateway import TheGateway
from producers.gateway.json_body import publish_whole
from producers.gateway.ndjson import publish_flow
from producers.gateway.openapi import answers
from producers.gateway.parameters import only_known
from producers.gateway.responses import Accepted
from producers.publisher.schemas import event_schema

JSON: Final = "application/json"
NDJSON: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl")
_WRONG_KIND: Final = 415
_CHECKED: Final = 200
_ON_THE_STREAM: Final = 202


def _body() -> dict[str, Any]:
    event = event_schema(alone=False)
    lines = {"type": "string", "description": "One event in each line."}
    return {
        "required": True,
        "content": {
            JSON: {"schema": {"oneOf": [event, {"type": "array", "items": event, "minItems": 1}]}},
            **{kind: {"schema": lines} for kind in NDJSON},
        },
    }


DryRun = Annotated[
    Literal["true", "false"], Query(description="`true`: check only, publish nothing.")
]

routes = APIRouter(tags=["Events"])


@routes.post(
    "/events",
    operation_id="publish_events",
    status_code=_ON_THE_STREAM,
    response_description="The accepted events are on the stream.",
    responses={
        _CHECKED: {"model": Accepted, "description": "With `dry_run`: nothing was published."},
        **answers(401, 403, 408, 413, 415, 422, 429),
    },
    openapi_extra={"requestBody": _body()},
    dependencies=[only_known("dry_run")],
)
async def publish(
    request: Request,
    response: Response,
    gateway: TheGateway,
    holder: Publishing,
    *,
    dry_run: DryRun = "false",
) -> Accepted:
    """Publish one event, an array of events, or NDJSON of any length.

    JSON: all of the body is published or nothing of it; an event may have 256 KiB, an array 8 MiB
    and 10,000 events. NDJSON: the good lines are published while they arrive; when the connection
    breaks, a first part of them is. Give every event its `event_id` and `occurred_at`: then
    sending the same again counts once.
    """
    only_checked = dry_run == "true"
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == JSON:
        accepted = await publish_whole(request, gateway, holder, dry_run=only_checked)
    elif kind in NDJSON:
        key = request.headers.get(KEY_HEADER)
        accepted = await publish_flow(request, gateway, holder, key, dry_run=only_checked)
    else:
        message = f"Content-Type must be {JSON} (one event, an array) or {NDJSON[0]} (lines)"
        raise Refused(_WRONG_KIND, f"{message}; it is {kind[:100] or 'missing'}")
    if only_checked:
        response.status_code = _CHECKED
    return accepted
