"""Tickets for the Bet Engine API: who may call, what is shown, and `paid` (contracts 1.7).

`access` identifies an operator by its signature, `tickets` finds and shows tickets, `payment`
opens one, and `ticket_object` is what an operator sees.
"""

from models.bet_engine.access import AccessDenied, Caller, verify_caller
from models.bet_engine.payment import (
    NotOffered,
    NotReserved,
    Paid,
    PaymentOutcome,
    UnknownTicket,
    pay,
)
from models.bet_engine.ticket_object import TicketObject
from models.bet_engine.tickets import find_ticket, list_tickets

__all__ = [
    "AccessDenied",
    "Caller",
    "NotOffered",
    "NotReserved",
    "Paid",
    "PaymentOutcome",
    "TicketObject",
    "UnknownTicket",
    "find_ticket",
    "list_tickets",
    "pay",
    "verify_caller",
]
