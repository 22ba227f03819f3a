"""A partner that receives notices, verifies and keeps them, and misbehaves on request."""

from producers.simulation.partner.behaviour import (
    Answer,
    Behaviour,
    CloseWithoutAnswer,
    Drip,
    Hang,
    HangAfterAccept,
    HangMidBody,
    HugeBody,
    Rule,
    WalletAnswer,
)
from producers.simulation.partner.ledger import Entry, Ledger
from producers.simulation.partner.server import SimulatedPartner, run
from producers.simulation.partner.wallet import Wallet

__all__ = [
    "Answer",
    "Behaviour",
    "CloseWithoutAnswer",
    "Drip",
    "Entry",
    "Hang",
    "HangAfterAccept",
    "HangMidBody",
    "HugeBody",
    "Ledger",
    "Rule",
    "SimulatedPartner",
    "Wallet",
    "WalletAnswer",
    "run",
]
