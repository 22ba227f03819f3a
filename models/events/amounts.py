"""The money in a result: with its action, what makes two results the same (protocol H5)."""

import re
from collections.abc import Mapping
from typing import Any, Final

from models.events.format import MONEY_FIELDS

CURRENCY: Final = "currency"
_CODE: Final = re.compile(r"[A-Z]{3}")
_IDS: Final = 2  # operator and ticket_id alone: most results


def amounts_of(data: Mapping[str, Any]) -> dict[str, Any] | None:
    """The amounts in *data*, and the currency they are in where it is stated."""
    if len(data) <= _IDS:
        return None
    amounts = {name: data[name] for name in MONEY_FIELDS if data.get(name) is not None}
    currency = currency_of(data)
    if currency is not None:
        amounts[CURRENCY] = currency
    return amounts or None


def currency_of(data: Mapping[str, Any]) -> str | None:
    """The currency that *data* states; a lottery's is in its message (contracts 3.2)."""
    if len(data) <= _IDS:
        return None
    stated = data.get(CURRENCY)
    if stated is None:
        lottery = data.get("lottery")
        stated = lottery.get(CURRENCY) if isinstance(lottery, dict) else None
    return stated if isinstance(stated, str) and _CODE.fullmatch(stated) else None


def same_amounts(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    """Whether both are the same money. A currency that only one of them states is the other's."""
    if one == other:
        return True
    left, right = dict(one or {}), dict(other or {})
    currencies = {left.pop(CURRENCY, None), right.pop(CURRENCY, None)} - {None}
    return len(currencies) <= 1 and left == right
