"""Builds bodies for PAM partners: field by field, in the documented order (contracts 1.4).

The text is built once, stored with the notice, and signed and sent unchanged on every attempt.
"""

import re
from typing import Any, Final

from pydantic_core import to_json

from models.events.format import MONEY_FIELDS
from models.vocabulary import Action

_PLACED = (*MONEY_FIELDS, "currency", "atag", "rtag", "ticket_type")
# After `operator` and `ticket_id`. For the places of `psp` and `rtag` see contracts 5.2.
FIELDS: dict[Action, tuple[str, ...]] = {
    Action.CREATE: ("ticket_code", "player_id", *_PLACED),
    Action.RESERVE: ("ticket_code", "player_id", "psp", *_PLACED),
    Action.UPDATE: ("ticket_code", "player_id", "psp", *_PLACED),
    Action.WIN: (),
    Action.LOST: (),
    Action.VOID: MONEY_FIELDS,
    Action.REFUND: ("reason",),
    Action.DISCARD: ("reason",),
    Action.ROLLBACK: ("reason",),
    Action.CLOSED: (),
}
# Not signed, so it holds nothing (contracts 1.2, contracts 5.2).
PING: Final = '{"action":"ping"}'
TEST_TICKET: Final = "slipway-test-"  # a random part follows, so no ticket has this id
TEST_REASON: Final = "slipway-test-touches-no-ticket"
_NOT_A_WORD = re.compile(r"[\s\x00-\x1f\x7f]+")


def body(action: Action, *, operator: str, ticket_id: str, data: dict[str, Any]) -> str:
    """Return compact JSON; a field without a value is `null`, never left out (contracts 1.3)."""
    fields: dict[str, Any] = {"operator": operator, "ticket_id": ticket_id}
    for name in FIELDS[action]:
        value = data.get(name)
        fields[name] = slug(value) if name == "reason" and isinstance(value, str) else value
    return to_json({"action": str(action), "data": fields}).decode()


def signed_test_body(*, operator: str, test_id: str) -> tuple[str, str]:
    """Return the id of the ticket that never was, and the discard of it (`ping --signed`)."""
    ticket_id = f"{TEST_TICKET}{test_id}"
    data = {"reason": TEST_REASON}
    return ticket_id, body(Action.DISCARD, operator=operator, ticket_id=ticket_id, data=data)


def slug(reason: str) -> str:
    """Return *reason* without spaces, about which the signature is ambiguous (contracts 5.1)."""
    return _NOT_A_WORD.sub("-", reason.strip())
