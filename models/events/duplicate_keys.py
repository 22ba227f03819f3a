"""Refuses a key that appears twice in one JSON object: parsers disagree on which one counts."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from models.events.refusal import Refusal
from models.platform.input_problems import quote
from models.vocabulary import Reason

Place = tuple[str | int, ...]


class _WithDuplicate(dict[str, Any]):
    """An object in which *key* appears more than once."""

    key = ""


def find_duplicate_keys(raw: bytes) -> list[tuple[Place, str]]:
    """Return where in the JSON text *raw*, which was parsed before, an object has a key twice.

    Each place comes with the object's first such key; inside such an object is not searched.
    """
    duplicates: list[_WithDuplicate] = []

    def to_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        json_object = dict(pairs)
        if len(json_object) == len(pairs):
            return json_object
        with_duplicate = _WithDuplicate(json_object)
        seen: set[str] = set()
        with_duplicate.key = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]  # `add` returns None: not seen yet
        duplicates.append(with_duplicate)
        return with_duplicate

    document = json.loads(raw.decode(), object_pairs_hook=to_object)
    return list(_places(document, ())) if duplicates else []


def has_surely_no_duplicates(raw: bytes, events: Iterable[object]) -> bool:
    """Return whether a cheap check of the JSON text *raw* of *events* rules out duplicate keys.

    If not, `find_duplicate_keys` must decide. Without escapes each colon follows a key or is part
    of a string. So no key is hidden behind another where there are as many colons as there are keys
    of the events and their `data`, and colons in their ids and times.
    """
    return b"\\" not in raw and raw.count(b":") == sum(map(_colons, events))


def _colons(event: object) -> int:
    if not isinstance(event, dict):
        return 0
    data, event_id, at = event.get("data"), event.get("event_id"), event.get("occurred_at")
    return (
        len(event)
        + (len(data) if isinstance(data, dict) else 0)
        + (event_id.count(":") if isinstance(event_id, str) else 0)
        + (at.count(":") if isinstance(at, str) else 0)
    )


def refuse_duplicate_keys(raw: bytes, *, what: str = "") -> None:
    """Raise Refusal if an object in the JSON text *raw* has a key twice; *what* begins its text."""
    for place, key in find_duplicate_keys(raw):
        raise Refusal(Reason.INVALID_EVENT, what + duplicate_key_problem(place, key))


def duplicate_key_problem(place: Sequence[str | int], key: str) -> str:
    """Describe the problem that the object at *place* has *key* twice."""
    where = ".".join(map(str, (*place, quote(key)[1:-1])))
    return f"{where[-300:]}: appears twice in one object; send it once"


def _places(value: object, place: Place) -> "list[tuple[Place, str]]":
    match value:
        case _WithDuplicate():
            return [(place, value.key)]
        case dict():
            parts: Any = value.items()
        case list():
            parts = enumerate(value)
        case _:
            return []
    return [duplicate for name, inner in parts for duplicate in _places(inner, (*place, name))]
