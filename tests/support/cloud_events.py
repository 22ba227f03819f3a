"""CloudEvents, as publishers write them in the three modes."""

import json
from typing import Any
from urllib.parse import quote

import httpx

from tests.support.gateway_app import GatewayApp

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
BINARY = "binary"  # whose attributes are in headers
JSON = "application/json"
ARRAY = f"{JSON}, an array"
LINES = "application/x-ndjson"
FORMS = [BINARY, STRUCTURED, BATCH, JSON, ARRAY, LINES]  # in which `POST /events` takes one


def cloud_event(
    operator: str = "acme", ticket_id: str = "t-1", action: str = "ticket_win", **more: object
) -> dict[str, Any]:
    """Return a CloudEvent; *more* are attributes or `data`, and one that is `...` is left out."""
    document = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "https://backend.acme.example/tickets",
        "type": f"example.acme.{action}",
        "data": {"operator": operator, "ticket_id": ticket_id},
        **more,
    }
    return {name: value for name, value in document.items() if value is not ...}


def raw(**more: object) -> bytes:
    """Return the JSON text of one."""
    return json.dumps(cloud_event(**more)).encode()  # type: ignore[arg-type]  # its own words


def in_headers(event: dict[str, Any]) -> dict[str, str]:
    """Return the headers of a CloudEvent in binary mode, whose body is its data."""
    attributes = {name: value for name, value in event.items() if name != "data"}
    kind = attributes.pop("datacontenttype", "application/json")
    return {"Content-Type": kind} | {
        f"ce-{name}": quote(str(value), safe="") for name, value in attributes.items()
    }


def send(
    gateway_app: GatewayApp, key: str, form: str, *events: dict[str, Any], **query: str
) -> httpx.Response:
    """Post the events in one of FORMS; those for one event get the first."""
    headers, body = {"Content-Type": form.partition(",")[0]}, json.dumps(events[0])
    if form == BINARY:
        headers, body = in_headers(events[0]), json.dumps(events[0]["data"])
    elif form in (BATCH, ARRAY):
        body = json.dumps(events)
    elif form == LINES:
        body = "\n".join(map(json.dumps, events))
    return post(gateway_app, key, body, headers, **query)


def post(
    gateway_app: GatewayApp, key: str, body: str | bytes, headers: dict[str, str], **query: str
) -> httpx.Response:
    """Post this body to /events."""
    return gateway_app.client.post(
        "/events", content=body, params=query, headers={"X-Api-Key": key, **headers}
    )
