"""A ticket's history as a role may see it: for viewers without players, amounts and free texts.

What partners and publishers wrote may hold anything, so a viewer gets none of it: texts of ours
say what happened, and values that are known to be harmless stay.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from models.history import InterventionFact, RefusedFact, TicketHistory, public
from models.history.values import EventFact, TicketFact
from models.users import Role
from worker.console.display.personal import MASK, mask_personal, sees_personal

# Of what is sent to a partner: names and ids of ours, and what the protocol fixes.
_HARMLESS: Final = frozenset(
    {"action", "agent", "currency", "data", "featureBuy", "game", "gameId", "isEndRound"}
    | {"operator", "roundId", "ticket_code", "ticket_id", "ticket_type", "timestamp"}
    | {"transactionId"}
)


def history_for(role: Role, history: TicketHistory) -> TicketHistory:
    """Return *history* as a user of *role* may see it."""
    if sees_personal(role):
        return history
    shown = public(history)
    return replace(
        shown,
        ticket=_ticket(shown.ticket, history.ticket.details, role),
        events=tuple(replace(event, data=_data(event, role)) for event in shown.events),
        interventions=tuple(map(_intervention, history.interventions)),
        refused=tuple(_refused(fact) for fact in shown.refused),
    )


def masked_body(role: Role, body: Any) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON of a body for *role*: to viewers only what is surely not personal."""
    if sees_personal(role):
        return body
    match body:
        case Mapping():
            return {
                name: masked_body(role, inner) if name in _HARMLESS else _mask(inner)
                for name, inner in body.items()
            }
        case list():
            return [masked_body(role, inner) for inner in body]
        case _:
            return body


def _mask(content: object) -> str | None:
    return None if content is None else MASK


def _ticket(ticket: TicketFact, details: Mapping[str, Any], role: Role) -> TicketFact:
    """Mask the amounts of *ticket*, and say that a player is known, as *details* do."""
    player = {"player_id": MASK} if details.get("player_id") else {}
    return replace(
        ticket,
        details=mask_personal(role, ticket.details) | player,
        amounts=mask_personal(role, ticket.amounts),
    )


def _data(event: EventFact, role: Role) -> Mapping[str, Any]:
    masked: Mapping[str, Any] = mask_personal(role, event.data)
    return {name: fact for name, fact in masked.items() if name != "reason"}


def _intervention(fact: InterventionFact) -> InterventionFact:
    """Hide the reason: a person may have written a player or an amount into it."""
    return replace(fact, why=MASK)


def _refused(fact: RefusedFact) -> RefusedFact:
    return replace(fact, message="its message is hidden: it may quote personal data")
