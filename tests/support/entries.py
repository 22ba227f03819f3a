"""Stream entries, as publishers write them, and what reading makes of them."""

import json
from collections.abc import Mapping
from typing import Any

from models.events.decode import read
from models.events.event import Entry, Event, Unreadable

ENTRY_ID = "1732094400000-7"  # 2024-11-20 09:20:00 UTC
HEAD = '"operator":"acme","ticket_id":"t-1"'


def published(
    action: object = "ticket_win", *, top: Mapping[str, object] | None = None, **data: object
) -> bytes:
    """Return an event as a publisher writes it: *data* beside the ids, *top* beside the action."""
    document: dict[str, Any] = {"action": action, **(top or {})}
    document["data"] = {"operator": "acme", "ticket_id": "t-1", **data}
    return json.dumps(document).encode()


def with_data(text: str) -> bytes:
    """Return an event whose data ends with *text*, written as it is."""
    return f'{{"action":"ticket_win","data":{{{HEAD},{text}}}}}'.encode()


def entry(raw: bytes, *, entry_id: str = ENTRY_ID) -> Entry:
    """Return the entry that carries *raw*."""
    return Entry(entry_id, {b"event": raw})


def accepted(raw: bytes, *, entry_id: str = ENTRY_ID) -> Event:
    """Return the event in *raw*, which must be readable."""
    decoded = read(entry(raw, entry_id=entry_id))
    assert isinstance(decoded, Event), decoded.message
    return decoded


def refused(raw: bytes, *, entry_id: str = ENTRY_ID) -> Unreadable:
    """Return what was kept of *raw*, which must not be readable."""
    decoded = read(entry(raw, entry_id=entry_id))
    assert isinstance(decoded, Unreadable), decoded
    return decoded
