"""Rounds of a seamless operator, `house`: placed, settled, delivered, and what is kept of it."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from models.outbox.attempts import ATTEMPTS
from models.outgoing import examples
from producers.simulation.partner import LedgerEntry, Rule, SimulatedPartner
from tests.support.delivery_setup import DeliverySetup

OPENING = Decimal(10_000)  # what each account has in the simulated wallet
ROUND: dict[str, Any] = {**examples.ROUND, "shop": "never sent on"}


def settle(delivery: DeliverySetup, action: str, *rounds: str, **data: object) -> None:
    """Open rounds, or one that is named like *action*, and settle them so."""
    names = rounds or (action,)
    delivery.publish("house", *(("ticket_open", name) for name in names), **ROUND)
    delivery.publish("house", *((action, name) for name in names), **data)


def deliver(
    delivery: DeliverySetup, partner: SimulatedPartner, *rules: Rule
) -> Sequence[LedgerEntry]:
    """Deliver what is due while *rules* are in force; return what arrived."""
    before = len(partner.ledger.entries())
    for rule in rules:
        partner.behave(rule)
    delivery.deliver()
    partner.behave_well()
    return partner.ledger.entries(after=before)


def attempts(delivery: DeliverySetup) -> list[Any]:
    """What was kept of each attempt, by the round's name and in order."""
    return delivery.rows(
        "SELECT t.ticket_id, a.verdict, a.http_status, a.remarks, n.ended, n.reason"  # noqa: S608 - a constant
        f" FROM {ATTEMPTS} a JOIN notice n ON n.id = a.notice JOIN ticket t ON t.id = n.ticket"
        " ORDER BY t.ticket_id, n.number, a.claim"
    )
