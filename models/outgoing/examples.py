"""Bodies as examples, made by the code that makes the real ones."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from models.lifecycle.ticket import NewNotice, Terms, TicketState
from models.notices import pam
from models.notices.body import message
from models.notices.seamless import BALANCE, CANCEL, PAYOUT, balance_body
from models.vocabulary import Action

OPERATOR: Final = "acme"
TICKET_ID: Final = "668ef666333180bba97f0c93"
# A key that no real operator has, for signatures that readers can compute again.
SECRET: Final = "12345ABCDE"  # noqa: S105 - published
TIMESTAMP: Final = 1706191612
USER_AGENT: Final = "Slipway/1.0.0 (+https://ops.example.com)"
TRACEPARENT: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TEST_ID: Final = "5f0c2a6d0e7b4c3f9a1d8b6e4c2f7a90"
FACTS: Final[Mapping[str, Any]] = {
    "ticket_code": "CD4BDD",
    "player_id": "sometokenvalue",
    "psp": "mobile",
    "price": 500,
    "stake": 444,
    "wht_amount": 240,
    "wht": 10,
    "ext_amount": 56,
    "ext": 12.5,
    "ext_type": "inclusive",
    "gross_payout": 2842,
    "net_payout": 2602,
    "currency": "USD",
    "atag": "atag_value",
    "rtag": None,
    "ticket_type": "quickbet",
    "reason": "some reason",
}
ROUND: Final[Mapping[str, Any]] = {
    "player_id": "member001",
    "price": 25_000,
    "net_payout": 5_000,
    "currency": "THB",
    "game": "Ghost House",
    "game_id": "GH",
    "feature_buy": True,
}
_HOUSE: Final = Terms(
    1,
    "house",
    "seamless",
    announces_tickets=True,
    close_delay=timedelta(hours=24),
    agent="agentId",
)
_SETTLED_AT: Final = datetime(2019, 12, 11, 19, 57, 28, 431_000, tzinfo=UTC)
_SETTLEMENTS: Final = {PAYOUT: Action.WIN, CANCEL: Action.VOID}


def notice_text(action: Action) -> str:
    """Return the body of a notice."""
    return pam.body(action, operator=OPERATOR, ticket_id=TICKET_ID, data=dict(FACTS))


def signed_test_text() -> str:
    """Return the body of the signed test."""
    return pam.signed_test_body(operator=OPERATOR, test_id=TEST_ID)[1]


def wallet_text(path: str) -> str:
    """Return the body of a call to a seamless wallet."""
    if path == BALANCE:
        return balance_body(_HOUSE.agent)
    ticket = TicketState(1, "1330556611374148608", _HOUSE, details=dict(ROUND))
    return message(ticket, NewNotice(_SETTLEMENTS[path], 1, {}, None, at=_SETTLED_AT)).body


def wallet_answer() -> dict[str, Any]:
    """Return a wallet's answer to the payout of `wallet_text`."""
    call = json.loads(wallet_text(PAYOUT))
    return {
        "status": {"code": 0, "message": "Success"},
        "data": {
            "username": call["username"],
            "wallet": {"balance": 150, "lastUpdate": "2019-12-11T19:57:28.902Z"},
            "balance": {"before": 100, "after": 150},
            "refId": call["transactionId"],
        },
    }
