"""Events as a role may see them: viewers see no player, no amount, no text that may name one."""

import json
from collections.abc import Mapping
from typing import Any, Final

from models.events.kept_data import kept_data
from models.triage import RawInput
from models.users import Role
from worker.console.display.personal import MASK, mask_personal, sees_personal
from worker.console.display.values import json_text

HIDDEN_MESSAGE: Final = "Hidden: it may quote a player or an amount. It needs the role support."


def message_for(role: Role, message: str | None) -> str | None:
    """Return what was wrong, for *role*: the message quotes what was published."""
    if message is None or sees_personal(role):
        return message
    return HIDDEN_MESSAGE


def data_for(role: Role, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an event's data for *role*: to viewers only what is surely not personal."""
    if sees_personal(role):
        return data
    kept = mask_personal(role, kept_data(data))
    return {name: kept.get(name, MASK) for name in data}


def raw_for(role: Role, raw: RawInput) -> str | None:
    """Return raw input as text; None to viewers: nobody knows where in it a player is named."""
    if not sees_personal(role):
        return None
    try:
        return json_text(json.loads(raw.raw))
    except (ValueError, RecursionError):
        return raw.raw.decode(errors="replace")
