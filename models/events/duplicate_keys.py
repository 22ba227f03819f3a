"""Keys that appear twice in one JSON object: parsers disagree on which one counts, so none does."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from models.events.messages import quote
from models.events.refusal import Refusal
from models.vocabulary import Reason

Place = tuple[str | int, ...]


class _Doubled(dict[str, Any]):
    """An object in which *key* appears more than once."""

    key = ""


def find_duplicate_keys(raw: bytes) -> list[tuple[Place, str]]:
    """Where in the JSON text *raw*, which was parsed before, an object has a key twice; and which.

    Of one object the first such key; what stands inside an object that has one is not searched.
    """
    found: list[_Doubled] = []

    def made(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        plain = dict(pairs)
        if len(plain) == len(pairs):
            return plain
        doubled = _Doubled(plain)
        seen: set[str] = set()
        doubled.key = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]  # `add` returns None: not found yet
        found.append(doubled)
        return doubled

    document = json.loads(raw.decode(), object_pairs_hook=made)
    return list(_places(document, ())) if found else []


def has_surely_no_duplicates(raw: bytes, events: Iterable[object]) -> bool:
    """Whether a look at the JSON text *raw* of *events* shows that no object has a key twice.

    False: it takes a closer one. Without escapes each colon follows a key or stands in a text. So
    no key is hidden behind another where there are as many colons as there are keys of the events
    and their `data`, and colons in their ids and times.
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
    """Raise Refusal if an object in the JSON text *raw* has a key twice. *what*: said in front."""
    for place, key in find_duplicate_keys(raw):
        raise Refusal(Reason.INVALID_EVENT, what + duplicate_key_problem(place, key))


def duplicate_key_problem(place: Sequence[str | int], key: str) -> str:
    """What to say of *key*, which the object at *place* has twice."""
    where = ".".join(map(str, (*place, quote(key)[1:-1])))
    return f"{where[-300:]}: appears twice in one object; send it once"


def _places(value: object, place: Place) -> "list[tuple[Place, str]]":
    match value:
        case _Doubled():
            return [(place, value.key)]
        case dict():
            parts: Any = value.items()
        case list():
            parts = enumerate(value)
        case _:
            return []
    return [one for name, inner in parts for one in _places(inner, (*place, name))]
