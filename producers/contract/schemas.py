"""What may be put on the stream, as JSON Schema, made from the types that read it."""

from typing import Any

from pydantic import TypeAdapter

from models.events.format import REQUIRED, WireEvent
from models.events.lottery_format import LotteryMessage


def event_schema() -> dict[str, Any]:
    """The field `event` of an entry; with what an action needs beside operator and ticket."""
    schema = self_contained(TypeAdapter(WireEvent).json_schema())
    schema["allOf"] = [
        {
            "if": {"properties": {"action": {"const": action.value}}},
            "then": {"properties": {"data": _with(needed)}},
        }
        for action, needed in REQUIRED.items()
    ]
    return schema


def _with(needed: tuple[str, ...]) -> dict[str, Any]:
    """Name what `data` must hold: a null or an empty text counts as absent."""
    said = {"not": {"enum": [None, ""]}}
    return {"required": list(needed), "properties": dict.fromkeys(needed, said)}


def lottery_schema() -> dict[str, Any]:
    """The field `event` of an entry whose field `type` is `LOTTERY_V2` (contracts: 3.2)."""
    return self_contained(TypeAdapter(LotteryMessage).json_schema())


def self_contained(schema: dict[str, Any]) -> dict[str, Any]:
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
