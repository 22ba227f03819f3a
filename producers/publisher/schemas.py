"""JSON Schemas of the stream's fields, generated from the types that read them.

A schema accepts what the intake accepts, except for rules that no schema can express: see
`producers/PUBLISH.md`.
"""

from sys import float_info
from typing import Any, Final

from pydantic import TypeAdapter

from models.events.cloud_event_format import (
    CLOUD_EVENT_DATA_NAMES,
    CLOUD_EVENT_NAMES,
    CloudEvent,
)
from models.events.field_names import KnownNames
from models.events.format import (
    DATA_NAMES,
    EVENT_NAMES,
    NO_NUL,
    REQUIRED,
    EventData,
    StreamEvent,
)
from models.events.lottery_format import LINE_NAMES, MESSAGE_NAMES, LotteryMessage
from models.platform.money import MINOR_DIGITS

Schema = dict[str, Any]

_BY_SUBJECT: Final = "ticket_id"  # a CloudEvent may name the ticket by its subject alone
# What an unknown field may contain, at any depth (models.events.messages, `check_storable`).
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
    """Return the schema of the field `event`, with the fields that each action requires.

    Not *alone*: as part of another document, which says nothing about unknown fields.
    """
    schema = self_contained(TypeAdapter(StreamEvent).json_schema())
    _constrain_names(schema, EVENT_NAMES, alone=alone)
    _constrain_names(schema["properties"]["data"], DATA_NAMES, alone=alone)
    schema["allOf"] = [
        {
            "if": {"properties": {"action": {"const": action.value}}},
            "then": {"properties": {"data": _require(needed)}},
        }
        for action, needed in REQUIRED.items()
    ]
    return schema | {"$defs": {"storable": _STORABLE}} if alone else schema


def cloud_event_schema(*, alone: bool = True) -> Schema:
    """Return the schema of an event that is a CloudEvent. Not *alone*: as in `event_schema`.

    It cannot express that `subject` and `data.ticket_id`, if both are there, are the same.
    """
    schema = self_contained(TypeAdapter(CloudEvent).json_schema())
    data = self_contained(TypeAdapter(EventData).json_schema())
    data["required"] = [name for name in data["required"] if name != _BY_SUBJECT]
    schema["properties"]["data"] = data
    _constrain_names(schema, CLOUD_EVENT_NAMES, alone=alone)
    _constrain_names(data, CLOUD_EVENT_DATA_NAMES, alone=alone)
    named_in_data = {"properties": {"data": {"required": [_BY_SUBJECT]}}}
    named_by_subject = {"required": ["subject"], "properties": {"subject": {"type": "string"}}}
    schema["allOf"] = [
        {"anyOf": [named_in_data, named_by_subject]},
        *(
            {
                "if": {"properties": {"type": {"pattern": f"^(?:.*[.])?{action}$"}}},
                "then": {"properties": {"data": _require(needed)}},
            }
            for action, needed in REQUIRED.items()
        ),
    ]
    return schema | {"$defs": {"storable": _STORABLE}} if alone else schema


def _constrain_names(schema: Schema, names: KnownNames, *, alone: bool) -> None:
    """Constrain unknown fields: no name that resembles a known one, and only storable values."""
    schema["propertyNames"] = {
        "anyOf": [
            {"enum": sorted(names.known)},
            {
                "pattern": NO_NUL,
                "not": {"anyOf": [{"pattern": pattern} for pattern in names.patterns]},
            },
        ]
    }
    if alone:
        schema["additionalProperties"] = _REFERENCE


def _require(needed: tuple[str, ...]) -> Schema:
    """Require fields of `data`: null or an empty string counts as absent."""
    not_empty = {"not": {"enum": [None, ""]}}
    return {"required": list(needed), "properties": dict.fromkeys(needed, not_empty)}


def lottery_schema(*, alone: bool = True) -> Schema:
    """Return the schema of the field `event` if `type` is `LOTTERY_V2` (contracts 3.2).

    Not *alone*: as in `event_schema`.
    """
    schema = self_contained(TypeAdapter(LotteryMessage).json_schema())
    for message in schema["oneOf"]:
        line = message["properties"]["lines"]["items"]
        message["properties"]["currency"] = {"enum": sorted(MINOR_DIGITS)}
        _constrain_names(message, MESSAGE_NAMES, alone=alone)
        _constrain_names(line, LINE_NAMES, alone=alone)
        if alone:
            for free in (message["properties"]["meta"], line["properties"]["meta"]):
                free["anyOf"] = [_STORABLE | {"type": "object"}, {"type": "null"}]
    return schema | {"$defs": {"storable": _STORABLE}} if alone else schema


def self_contained(schema: Schema) -> Schema:
    """Return *schema* with each reference replaced by its definition, for use anywhere."""
    definitions = schema.get("$defs", {})

    def resolved(part: object) -> object:
        if isinstance(part, list):
            return [resolved(item) for item in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            return resolved(definitions[part["$ref"].removeprefix("#/$defs/")])
        # A discriminator only repeats, as references, what the alternatives say.
        hidden = ("$defs", "discriminator")
        return {name: resolved(inner) for name, inner in part.items() if name not in hidden}

    result = resolved(schema)
    assert isinstance(result, dict), "a schema is an object"
    return result
