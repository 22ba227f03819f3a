"""`POST /events`: publishes one event or many."""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response

from producers.gateway.authentication import KEY_HEADER, PublishingHolder
from producers.gateway.cloud_events import BATCH, JSON, STRUCTURED, body_form, media_type
from producers.gateway.errors import RequestRefused
from producers.gateway.gateway import TheGateway
from producers.gateway.json_body import publish_json
from producers.gateway.ndjson import publish_ndjson
from producers.gateway.openapi import error_responses
from producers.gateway.parameters import known_parameters_only
from producers.gateway.responses import PublishResult
from producers.publisher.schemas import cloud_event_schema, event_schema

NDJSON: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl")
_UNSUPPORTED_MEDIA_TYPE: Final = 415
_OK: Final = 200
_ACCEPTED: Final = 202


def _body() -> dict[str, Any]:
    event, cloud_event = event_schema(alone=False), cloud_event_schema(alone=False)
    either = {"oneOf": [event, cloud_event]}
    lines = {"type": "string", "description": "One event in each line, or one CloudEvent."}
    return {
        "required": True,
        "content": {
            JSON: {
                "schema": {
                    "oneOf": [event, cloud_event, _array(either)],
                    "description": "With headers `ce-…` (binary mode): the `data` of a CloudEvent.",
                }
            },
            STRUCTURED: {"schema": cloud_event},
            BATCH: {"schema": _array(cloud_event)},
            **{media_type: {"schema": lines} for media_type in NDJSON},
        },
    }


def _array(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": 1}


def _headers() -> list[dict[str, Any]]:
    """Return the headers of binary mode: attributes of a CloudEvent, but those of its data."""
    return [
        {
            "in": "header",
            "name": f"ce-{name}",
            "required": False,
            "description": f"Binary mode: the attribute `{name}`, percent-encoded.",
            "schema": {"type": "string"},
        }
        for name in ("specversion", "id", "source", "type", "subject", "time")
    ]


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
    openapi_extra={"requestBody": _body(), "parameters": _headers()},
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
    """Publish one event, an array of events, or NDJSON of any length; CloudEvents 1.0 too.

    JSON: the whole body is published, or nothing. An event may have up to 256 KiB, an array up to
    8 MiB and 10,000 events. NDJSON: valid lines are published while they arrive; if the connection
    breaks, the first ones may be published. Set `event_id` and `occurred_at` on every event, so
    that a repeat counts once.

    CloudEvents come in structured, batched or binary mode, or among the events of any other body:
    what has a `specversion` is one. Their `id` is the event id, `time` when it happened, `type` the
    action, `subject` the ticket's id.
    """
    validate_only = dry_run == "true"
    kind = media_type(request.headers.get("content-type", ""))
    form = body_form(request.headers)
    if form is not None:
        accepted = await publish_json(request, form, gateway, holder, dry_run=validate_only)
    elif kind in NDJSON:
        key = request.headers.get(KEY_HEADER)
        accepted = await publish_ndjson(request, gateway, holder, key, dry_run=validate_only)
    else:
        message = (
            f"Content-Type must be {JSON} (one event, an array, or the data of a CloudEvent),"
            f" {NDJSON[0]} (lines), {STRUCTURED} or {BATCH}"
        )
        raise RequestRefused(_UNSUPPORTED_MEDIA_TYPE, f"{message}; it is {kind[:100] or 'missing'}")
    if validate_only:
        response.status_code = _OK
    return accepted
