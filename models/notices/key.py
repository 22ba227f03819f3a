"""Builds the key of a notice: its operator, ticket, action and generation in one text.

A partner recognises a repeat by it: in PAM it is the header `Idempotency-Key`, for a seamless
wallet the `transactionId` is derived from it. So no two notices have the same key.
"""

from typing import Final

from models.vocabulary import Action

JOINT: Final = "/"
# No id contains a space, so a key joined by it can be read in one way only, and is never equal to a
# key joined by `/`.
SAFE_JOINT: Final = " "


def plain_key(operator: str, ticket_id: str, action: Action, generation: int) -> str:
    """Return the parts joined by `/`, which is ambiguous only if an id contains a `/`."""
    return JOINT.join((operator, ticket_id, action, str(generation)))


def key_to_keep(operator: str, ticket_id: str, action: Action, generation: int) -> str | None:
    """Return the key to store for a notice, or None if `plain_key` is unambiguous."""
    if JOINT in operator or JOINT in ticket_id:
        return SAFE_JOINT.join((operator, ticket_id, action, str(generation)))
    return None


def key_of(operator: str, ticket_id: str, action: Action, generation: int) -> str:
    """Return the key of a new notice; it differs from that of every other notice."""
    parts = (operator, ticket_id, action, generation)
    return key_to_keep(*parts) or plain_key(*parts)
