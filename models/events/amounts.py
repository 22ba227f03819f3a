"""The money in a result: together with the action it decides whether two results are equal (H5)."""

import re
from collections.abc import Mapping
from typing import Any, Final

from models.events.format import MONEY_FIELDS

CURRENCY: Final = "currency"
_CODE: Final = re.compile(r"[A-Z]{3}")
_IDS: Final = 2  # operator and ticket_id alone: most results


def amounts_of(data: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the amounts in *data*, with their currency where it is stated."""
    if len(data) <= _IDS:
        return None
    amounts = {name: data[name] for name in MONEY_FIELDS if data.get(name) is not None}
    currency = currency_of(data)
    if currency is not None:
        amounts[CURRENCY] = currency
    return amounts or None


def currency_of(data: Mapping[str, Any]) -> str | None:
    """Return the currency that *data* states; a lottery's is in its message (contracts 3.2)."""
    if len(data) <= _IDS:
        return None
    stated = data.get(CURRENCY)
    if stated is None:
        lottery = data.get("lottery")
        stated = lottery.get(CURRENCY) if isinstance(lottery, dict) else None
    return stated if isinstance(stated, str) and _CODE.fullmatch(stated) else None


def same_amounts(first: Mapping[str, Any] | None, second: Mapping[str, Any] | None) -> bool:
    """Return whether both are the same money; a currency stated by only one is taken for both."""
    if first == second:
        return True
    left, right = dict(first or {}), dict(second or {})
    currencies = {left.pop(CURRENCY, None), right.pop(CURRENCY, None)} - {None}
    return len(currencies) <= 1 and left == right
