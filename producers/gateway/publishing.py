"""`POST /events`: publishes one event or many."""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response

from producers.gateway.authentication import KEY_HEADER, PublishingHolder
from producers.gateway.errors import RequestRefused
from producers.gateway.gateway import TheGateway
from producers.gateway.json_body import publish_json
from producers.gateway.ndjson import publish_ndjson
from producers.gateway.openapi import error_responses
from producers.gateway.parameters import known_parameters_only
from producers.gateway.responses import PublishResult
from producers.publisher.schemas import event_schema

JSON: Final = "application/json"
NDJSON: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl")
_UNSUPPORTED_MEDIA_TYPE: Final = 415
_OK: Final = 200
_ACCEPTED: Final = 202


def _body() -> dict[str, Any]:
    event = event_schema(alone=False)
    lines = {"type": "string", "description": "One event in each line."}
    return {
        "required": True,
        "content": {
            JSON: {"schema": {"oneOf": [event, {"type": "array", "items": event, "minItems": 1}]}},
            **{media_type: {"schema": lines} for media_type in NDJSON},
        },
    }


DryRun = Annotated[
    Literal["true", "false"], Query(description="`true`: only validate, publish nothing.")
]

routes = APIRouter(tags=["Events"])


@routes.post(
    "/events",
    operation_id="publish_events",
    status_code=_ACCEPTED,
    response_description="The accepted events are on the stream.",
    responses={
        _OK: {"model": PublishResult, "description": "With `dry_run`: nothing was published."},
        **error_responses(401, 403, 408, 413, 415, 422, 429),
    },
    openapi_extra={"requestBody": _body()},
    dependencies=[known_parameters_only("dry_run")],
)
async def publish(
    request: Request,
    response: Response,
    gateway: TheGateway,
    holder: PublishingHolder,
    *,
    dry_run: DryRun = "false",
) -> PublishResult:
    """Publish one event, an array of events, or NDJSON of any length.

    JSON: the whole body is published, or nothing. An event may have up to 256 KiB, an array up to
    8 MiB and 10,000 events. NDJSON: valid lines are published while they arrive; if the connection
    breaks, the first ones may be published. Set `event_id` and `occurred_at` on every event, so
    that a repeat counts once.
    """
    validate_only = dry_run == "true"
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == JSON:
        accepted = await publish_json(request, gateway, holder, dry_run=validate_only)
    elif media_type in NDJSON:
        key = request.headers.get(KEY_HEADER)
        accepted = await publish_ndjson(request, gateway, holder, key, dry_run=validate_only)
    else:
        message = f"Content-Type must be {JSON} (one event, an array) or {NDJSON[0]} (lines)"
        raise RequestRefused(
            _UNSUPPORTED_MEDIA_TYPE, f"{message}; it is {media_type[:100] or 'missing'}"
        )
    if validate_only:
        response.status_code = _OK
    return accepted
