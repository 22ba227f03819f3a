"""What a notice is, once and for all: operator, ticket, action and generation in one text.

A partner knows a repeat by it: PAM as the header `Idempotency-Key`, a seamless wallet as the
`transactionId` that is derived from it. So two notices never have the same one.
"""

from typing import Final

from models.vocabulary import Action

JOINT: Final = "/"
# No id holds a space (design.md 4), so nothing that is joined by it can be read in two ways, and
# nothing looks like a key that is joined by `/`.
SAFE_JOINT: Final = " "


def plain_key(operator: str, ticket_id: str, action: Action, generation: int) -> str:
    """The parts joined by `/`: two notices share it only where an operator's code holds one."""
    return JOINT.join((operator, ticket_id, action, str(generation)))


def key_to_keep(operator: str, ticket_id: str, action: Action, generation: int) -> str | None:
    """The key of a notice where an id holds `/`; None: `plain_key` is unambiguous."""
    if JOINT in operator or JOINT in ticket_id:
        return SAFE_JOINT.join((operator, ticket_id, action, str(generation)))
    return None


def key_of(operator: str, ticket_id: str, action: Action, generation: int) -> str:
    """The key of a notice that is made now; it differs from that of every other notice."""
    parts = (operator, ticket_id, action, generation)
    return key_to_keep(*parts) or plain_key(*parts)
