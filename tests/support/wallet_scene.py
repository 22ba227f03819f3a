"""Rounds of a seamless operator, `house`: placed, settled, delivered, and what is kept of it."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from producers.simulation.partner import Entry, Rule, SimulatedPartner
from tests.support.delivery_scene import Scene

OPENING = Decimal(10_000)  # what everybody has in the simulated wallet
ROUND: dict[str, Any] = {
    "player_id": "member001",
    "price": 25_000,
    "net_payout": 5_000,
    "currency": "THB",
    "game": "Ghost House",
    "game_id": "GH",
    "feature_buy": True,
    "shop": "never sent on",
}


def settle(scene: Scene, *actions: str, **data: object) -> None:
    """Open a round for each action, named like it, and settle it so."""
    scene.publish("house", *(("ticket_open", action) for action in actions), **ROUND)
    scene.publish("house", *((action, action) for action in actions), **data)


def deliver(scene: Scene, partner: SimulatedPartner, *rules: Rule) -> Sequence[Entry]:
    """Deliver what is due while *rules* are in force; return what arrived."""
    before = len(partner.ledger.entries())
    for rule in rules:
        partner.behave(rule)
    scene.deliver()
    partner.behave_well()
    return partner.ledger.entries(after=before)


def attempts(scene: Scene) -> list[Any]:
    """What was kept of each attempt, in order."""
    return scene.rows(
        "SELECT verdict, http_status, problem, remarks FROM delivery_attempt"
        " ORDER BY recorded_at, claim"
    )
