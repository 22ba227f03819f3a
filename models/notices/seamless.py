"""Builds calls to seamless wallets (contracts 2.2, 5.4): payout and cancel.

A settlement's `transactionId` is derived from the notice's key, so every retry carries the same one
and no two settlements share one.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from models.lifecycle.ticket import NewNotice, TicketState
from models.notices.key import key_of
from models.platform.money import to_decimal_units
from models.vocabulary import Action

_TRANSACTIONS = UUID("5e84b48e-7393-4789-ad96-f1429e783068")  # the namespace; never change it
PAYOUT, CANCEL = "/payout", "/cancel"
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
            return _payout(ticket, notice, facts, _own_payout(notice, facts))
        case Action.LOST:
            return _payout(ticket, notice, facts, 0)
        case Action.VOID if notice.data.get("net_payout") not in (None, facts["price"]):
            return _payout(ticket, notice, facts, notice.data["net_payout"])
        case _:
            fields = {
                **_who_and_what(ticket, facts),
                "amount": _units(facts["price"], facts),
                **_when(ticket, notice, facts),
            }
            return _json(fields), CANCEL, None


def _own_payout(notice: NewNotice, facts: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as validated, an int
    """Return the payout of the result itself if it has one, as a cash-out does."""
    own = notice.data.get("net_payout")
    return facts["net_payout"] if own is None else own


def _payout(
    ticket: TicketState, notice: NewNotice, facts: dict[str, Any], cents: int
) -> tuple[str, str, str | None]:
    fields = {
        **_who_and_what(ticket, facts),
        "amount": _units(cents, facts),
        "turnover": _units(facts["price"], facts),
        **_when(ticket, notice, facts),
        "isEndRound": "true",
        "featureBuy": json.dumps(bool(facts.get("feature_buy"))),
    }
    return _json(fields), PAYOUT, None


def _who_and_what(ticket: TicketState, facts: dict[str, Any]) -> dict[str, str]:
    return {
        "username": _text(facts["player_id"]),
        "agent": _text(ticket.terms.agent),
        "game": _text(facts["game"]),
        "gameId": _text(facts["game_id"]),
        "roundId": _text(ticket.ticket_id),
    }


def _when(ticket: TicketState, notice: NewNotice, facts: dict[str, Any]) -> dict[str, str]:
    name = key_of(ticket.terms.code, ticket.ticket_id, notice.action, notice.generation)
    assert notice.at is not None, "a settlement has its time"
    return {
        "currency": _text(facts["currency"]),
        "transactionId": _text(str(uuid5(_TRANSACTIONS, name))),
        "timestamp": _text(_milliseconds(notice.at)),
    }


def _milliseconds(at: datetime) -> str:
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")


def _units(cents: int, facts: dict[str, Any]) -> str:
    """Return a JSON number in currency units: exact decimal digits, never by way of a float."""
    units = f"{to_decimal_units(cents, facts['currency']):f}"
    return units.rstrip("0").rstrip(".") if "." in units else units


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _json(fields: dict[str, str]) -> str:
    return "{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}"
