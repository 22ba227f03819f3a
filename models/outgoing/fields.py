"""The fields of what is sent, each with its type and its meaning for a partner's developers.

The types of a PAM notice's fields are those of the events that it is made of.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import TypeAdapter

from models.events.format import EventData
from models.events.stream_contract import ID_CHARACTERS_MAX

Schema = dict[str, Any]

# The events' own pattern needs Unicode's classes, which not every engine knows. This one follows
# from it, and every engine reads it alike.
NO_SPACE: Final = r"^\S*$"
MEANINGS: Final[Mapping[str, str]] = {
    "operator": "Your code at Slipway. The same in every notice to you.",
    "ticket_id": "The ticket, as its publisher named it. Compare it as text, even if it has only"
    " digits.",
    "ticket_code": "The ticket's short code, for people.",
    "player_id": "The player's id at your side.",
    "psp": "The payment provider or method, or null.",
    "price": "What the player pays, in the currency's minor unit: 500 is 5.00 EUR, or 500 JPY.",
    "stake": "The part of the price that is at risk, in the minor unit.",
    "wht_amount": "The withholding tax on the winnings, in the minor unit.",
    "wht": "The withholding tax in percent.",
    "ext_amount": "The excise tax, in the minor unit.",
    "ext": "The excise tax in percent.",
    "ext_type": "How the excise tax is counted: `inclusive` is part of the price.",
    "gross_payout": "The payout before withholding, in the minor unit.",
    "net_payout": "The payout after withholding, in the minor unit.",
    "currency": "ISO 4217, in capitals.",
    "atag": "The affiliate's tag, or null.",
    "rtag": "A second tag, or null.",
    "ticket_type": "The kind of ticket, `quickbet` for instance. New kinds may come.",
    "reason": "Why, for people and logs; never decide by it. Spaces are replaced by hyphens. Null"
    " if no reason was given.",
}
WALLET_FIELDS: Final[Mapping[str, Schema]] = {
    "username": {
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        "description": "The player's id at your side.",
    },
    "agent": {"type": "string", "description": "Your name for us."},
    "agentId": {"type": "string", "description": "Your name for us; `agent` in the other calls."},
    "game": {"type": "string", "minLength": 1, "maxLength": 255, "description": "The game's name."},
    "gameId": {"type": "string", "minLength": 1, "maxLength": 255, "description": "The game's id."},
    "roundId": {
        "type": "string",
        "minLength": 1,
        "maxLength": ID_CHARACTERS_MAX,
        "pattern": NO_SPACE,
        "description": "The ticket; the round of its bet. Compare it as text.",
    },
    "amount": {
        "type": "number",
        "minimum": 0,
        "description": "What to credit, in currency units: 12.5 is 12.50 EUR. Exact; read it as a"
        " decimal number, not as a float.",
    },
    "turnover": {
        "type": "number",
        "minimum": 0,
        "description": "The price of the ticket, in currency units.",
    },
    "currency": {
        "type": "string",
        "pattern": "^[A-Z]{3}$",
        "description": "ISO 4217, in capitals.",
    },
    "transactionId": {
        "type": "string",
        "format": "uuid",
        "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        "description": "Identifies the settlement. A call that comes again has the same one, and no"
        " other settlement has it: act on it once, and answer a second time as the first.",
    },
    "timestamp": {
        "type": "string",
        "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}$",
        "description": "When it happened, in UTC. The same if the call comes again.",
    },
    "isEndRound": {"const": True, "description": "Each settlement ends its round."},
    "featureBuy": {"type": "boolean", "description": "Whether the player bought a feature."},
}
_EVENT: Final = TypeAdapter(EventData).json_schema()["properties"]


def pam_field(name: str, *, required: bool) -> Schema:
    """Return the schema of a PAM notice's field. Not *required*: it is null where it is unknown."""
    schema = _portable(_EVENT[name])
    if required and schema.get("type") == "string":
        schema.setdefault("minLength", 1)
    if name == "reason":  # a response that is quoted in one has no fixed length
        schema = {"type": "string", "pattern": NO_SPACE}
    if not required:
        schema["type"] = [schema["type"], "null"]
    return schema | {"description": MEANINGS[name]}


def _portable(event_field: Schema) -> Schema:
    """Return what the value is if there is one, in terms that every validator knows."""
    alternatives = event_field.get("anyOf", [event_field])
    (schema,) = (option for option in alternatives if option.get("type") != "null")
    kept = {name: value for name, value in schema.items() if name not in ("title", "description")}
    if r"\p{" in kept.get("pattern", ""):
        kept["pattern"] = NO_SPACE
    return kept
