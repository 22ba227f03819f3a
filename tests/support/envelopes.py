"""Messages as Celery and kombu put them on a Redis list."""

import json
from base64 import b64encode
from typing import Any

from models.events.decode import read
from models.events.event import Entry, Event, Unreadable
from tests.support.entries import ENTRY_ID

DATA: dict[str, Any] = {"operator": "acme", "ticket_id": "t-1"}
EVENT: dict[str, Any] = {"event_id": "e-1", "action": "ticket_lost", "data": DATA}
NOTHING_AFTER = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
TASK_ID = "9a86cd07-8f2d-4c97-8e0c-0343b932631a"


def envelope(
    content: bytes | object,
    /,
    *,
    headers: object = None,
    properties: dict[str, object] | None = None,
    **top: object,
) -> bytes:
    """Return a message with *content* in base64; a part that is `...` is left out."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    parts = {
        "body": b64encode(raw).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {} if headers is None else headers,
        "properties": _given(
            {
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": "tickets"},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": "a9251ae7-21c9-448e-938f-d57f23a41dc6",
                **(properties or {}),
            }
        ),
        **{name.replace("_", "-"): part for name, part in top.items()},
    }
    return json.dumps(_given(parts)).encode()


def task(
    name: object = "ticket_win",
    args: object = (),
    kwargs: object = DATA,
    *,
    embed: object = NOTHING_AFTER,
    headers: dict[str, object] | None = None,
    **rest: Any,  # noqa: ANN401 - handed on to `envelope`
) -> bytes:
    """Return a task message of Celery's protocol 2."""
    defaults = {
        "lang": "py",
        "task": name,
        "id": TASK_ID,
        "eta": None,
        "expires": None,
        "retries": 0,
    }
    return envelope([args, kwargs, embed], headers=_given(defaults | (headers or {})), **rest)


def accepted(raw: bytes) -> Event:
    """Return the event in *raw*, which must be readable."""
    decoded = read(Entry(ENTRY_ID, {b"type": b"CELERY", b"event": raw}))
    assert isinstance(decoded, Event), decoded.message
    return decoded


def refused(raw: bytes) -> Unreadable:
    """Return what was kept of *raw*, which must not be readable."""
    decoded = read(Entry(ENTRY_ID, {b"type": b"CELERY", b"event": raw}))
    assert isinstance(decoded, Unreadable), decoded
    return decoded


def _given(parts: dict[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in parts.items() if part is not ...}
