"""What may be put on the stream, as JSON Schema, made from the types that read it.

A schema takes what the intake takes, but for what no schema can say: see `producers/PUBLISH.md`.
"""

from sys import float_info
from typing import Any, Final

from pydantic import TypeAdapter

from models.events.field_names import KnownNames
from models.events.format import DATA_NAMES, EVENT_NAMES, NO_NUL, REQUIRED, PublishedEvent
from models.events.lottery_format import LINE_NAMES, MESSAGE_NAMES, LotteryMessage
from models.platform.money import MINOR_DIGITS

Schema = dict[str, Any]

# What an unknown field may hold, at any depth (models.events.messages, `check_storable`).
_REFERENCE: Final = {"$ref": "#/$defs/storable"}
_STORABLE: Final = {
    "minimum": -float_info.max,
    "maximum": float_info.max,
    "pattern": NO_NUL,
    "items": _REFERENCE,
    "propertyNames": {"pattern": NO_NUL},
    "additionalProperties": _REFERENCE,
}


def event_schema(*, alone: bool = True) -> Schema:
    """The field `event` of an entry; with what an action needs beside operator and ticket.

    Not *alone*: to be a part of another document, which says nothing about unknown fields.
    """
    schema = self_contained(TypeAdapter(PublishedEvent).json_schema())
    _name(schema, EVENT_NAMES, alone=alone)
    _name(schema["properties"]["data"], DATA_NAMES, alone=alone)
    schema["allOf"] = [
        {
            "if": {"properties": {"action": {"const": action.value}}},
            "then": {"properties": {"data": _with(needed)}},
        }
        for action, needed in REQUIRED.items()
    ]
    return schema | {"$defs": {"storable": _STORABLE}} if alone else schema


def _name(an_object: Schema, names: KnownNames, *, alone: bool) -> None:
    """Say of the fields that are not known: not nearly called like one, and what they may hold."""
    an_object["propertyNames"] = {
        "anyOf": [
            {"enum": sorted(names.known)},
            {"pattern": NO_NUL, "not": {"pattern": names.pattern}},
        ]
    }
    if alone:
        an_object["additionalProperties"] = _REFERENCE


def _with(needed: tuple[str, ...]) -> Schema:
    """Name what `data` must hold: a null or an empty text counts as absent."""
    said = {"not": {"enum": [None, ""]}}
    return {"required": list(needed), "properties": dict.fromkeys(needed, said)}


def lottery_schema(*, alone: bool = True) -> Schema:
    """The field `event` of an entry whose field `type` is `LOTTERY_V2` (contracts: 3.2).

    Not *alone*: as for an event.
    """
    schema = self_contained(TypeAdapter(LotteryMessage).json_schema())
    for message in schema["oneOf"]:
        line = message["properties"]["lines"]["items"]
        message["properties"]["currency"] = {"enum": sorted(MINOR_DIGITS)}
        _name(message, MESSAGE_NAMES, alone=alone)
        _name(line, LINE_NAMES, alone=alone)
        if alone:
            for free in (message["properties"]["meta"], line["properties"]["meta"]):
                free["anyOf"] = [_STORABLE | {"type": "object"}, {"type": "null"}]
    return schema | {"$defs": {"storable": _STORABLE}} if alone else schema


def self_contained(schema: Schema) -> Schema:
    """Give *schema* with its definitions in place of what refers to them, for use anywhere."""
    definitions = schema.get("$defs", {})

    def resolved(part: object) -> object:
        if isinstance(part, list):
            return [resolved(one) for one in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            return resolved(definitions[part["$ref"].removeprefix("#/$defs/")])
        # A discriminator only repeats, with references, what the alternatives say themselves.
        hidden = ("$defs", "discriminator")
        return {name: resolved(inner) for name, inner in part.items() if name not in hidden}

    made = resolved(schema)
    assert isinstance(made, dict), "a schema is an object"
    return made
