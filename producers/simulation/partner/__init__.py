"""A partner that receives notices, verifies and keeps them, and misbehaves on request."""

from producers.simulation.partner.behaviour import (
    Behaviour,
    CloseWithoutAnswer,
    Drip,
    Habit,
    Hang,
    HangAfterAccept,
    HangMidBody,
    HugeBody,
    Respond,
    RespondAsWallet,
    Rule,
)
from producers.simulation.partner.ledger import Ledger, LedgerEntry
from producers.simulation.partner.server import SimulatedPartner, run
from producers.simulation.partner.wallet import Wallet

__all__ = [
    "Behaviour",
    "CloseWithoutAnswer",
    "Drip",
    "Habit",
    "Hang",
    "HangAfterAccept",
    "HangMidBody",
    "HugeBody",
    "Ledger",
    "LedgerEntry",
    "Respond",
    "RespondAsWallet",
    "Rule",
    "SimulatedPartner",
    "Wallet",
    "run",
]
