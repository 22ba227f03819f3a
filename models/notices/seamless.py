"""Builds calls to seamless wallets (contracts 2.2, 5.4): payout and cancel.

A settlement's `transactionId` is derived from the notice's key, so every retry carries the same one
and no two settlements share one.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid5

from models.lifecycle.ticket import NewNotice, TicketState
from models.notices.key import key_of
from models.platform.money import to_decimal_units
from models.vocabulary import Action

_TRANSACTIONS = UUID("5e84b48e-7393-4789-ad96-f1429e783068")  # the namespace; never change it
PAYOUT, CANCEL, BALANCE = "/payout", "/cancel", "/balance"
_PLAYER: Final = ("username", "agent", "game", "gameId", "roundId")
# Of each call, in the documented order (contracts 2.2, contracts 5.4).
FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    PAYOUT: (
        *(*_PLAYER, "amount", "turnover", "currency"),
        *("transactionId", "timestamp", "isEndRound", "featureBuy"),
    ),
    CANCEL: (*_PLAYER, "amount", "currency", "transactionId", "timestamp"),
    BALANCE: ("username", "agentId"),  # the ping; the contract has none
}
UNKNOWN_PLAYER: Final = "slipway-ping"  # a username that no wallet knows
NO_ROLLBACK = "a seamless wallet has no call that takes a settlement back; settle it by hand"


def call(ticket: TicketState, notice: NewNotice) -> tuple[str, str, str | None]:
    """Return the body and path of a result notice, and why there is no call, if there is none.

    `decide` has rejected events that lack the facts needed here.
    """
    if notice.action is Action.ROLLBACK:
        return "", "", NO_ROLLBACK
    facts = ticket.round_facts(notice.data)
    match notice.action:
        case Action.WIN:
            return _call(PAYOUT, ticket, notice, facts, _own_payout(notice, facts))
        case Action.LOST:
            return _call(PAYOUT, ticket, notice, facts, 0)
        case Action.VOID if notice.data.get("net_payout") not in (None, facts["price"]):
            return _call(PAYOUT, ticket, notice, facts, notice.data["net_payout"])
        case _:
            return _call(CANCEL, ticket, notice, facts, facts["price"])


def balance_body(agent: str | None) -> str:
    """Return the question for the balance of a player whom no wallet knows."""
    values = {"username": _text(UNKNOWN_PLAYER), "agentId": _text(agent)}
    return _json(BALANCE, values)


def _own_payout(notice: NewNotice, facts: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as validated, an int
    """Return the payout of the result itself if it has one, as a cash-out does."""
    own = notice.data.get("net_payout")
    return facts["net_payout"] if own is None else own


def _call(
    path: str, ticket: TicketState, notice: NewNotice, facts: dict[str, Any], cents: int
) -> tuple[str, str, None]:
    name = key_of(ticket.terms.code, ticket.ticket_id, notice.action, notice.generation)
    assert notice.at is not None, "a settlement has its time"
    values = {
        "username": _text(facts["player_id"]),
        "agent": _text(ticket.terms.agent),
        "game": _text(facts["game"]),
        "gameId": _text(facts["game_id"]),
        "roundId": _text(ticket.ticket_id),
        "amount": _units(cents, facts),
        "turnover": _units(facts["price"], facts),
        "currency": _text(facts["currency"]),
        "transactionId": _text(str(uuid5(_TRANSACTIONS, name))),
        "timestamp": _text(_milliseconds(notice.at)),
        "isEndRound": "true",
        "featureBuy": json.dumps(bool(facts.get("feature_buy"))),
    }
    return _json(path, values), path, None


def _milliseconds(at: datetime) -> str:
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")


def _units(cents: int, facts: dict[str, Any]) -> str:
    """Return a JSON number in currency units: exact decimal digits, never by way of a float."""
    units = f"{to_decimal_units(cents, facts['currency']):f}"
    return units.rstrip("0").rstrip(".") if "." in units else units


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _json(path: str, values: Mapping[str, str]) -> str:
    """Return the call's fields in their order; *values* are JSON already."""
    return "{" + ",".join(f'"{name}":{values[name]}' for name in FIELDS[path]) + "}"
