"""What of an event's data stays after its player was erased (rule 25).

Kept is what has a value of a fixed form and is about money or order: numbers, flags, the currency;
and the ticket's key, by which every table refers to it. All else is a free text, or a field that
nobody knows: it may hold a name. So a repeat of an erased event is recognised by what decides about
money, and an id that comes again with other money is still refused (H13).
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from models.events.format import MONEY_FIELDS

KEY_FIELDS: Final = ("operator", "ticket_id")
# `ext_type` is a word of the publisher's own.
KEPT_FIELDS: Final = (
    *(name for name in MONEY_FIELDS if name != "ext_type"),
    "feature_buy",
    "correction",
)
CURRENCY_PATTERN: Final = "^[A-Z]{3}$"
_CURRENCY: Final = re.compile(r"[A-Z]{3}")


def kept_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of *data* is kept, as `models.erasure.blank` keeps it in the database."""
    kept = {name: data[name] for name in KEY_FIELDS if isinstance(data.get(name), str)}
    for name in KEPT_FIELDS:
        if isinstance(data.get(name), bool | int | float):
            kept[name] = data[name]
    currency = data.get("currency")
    if isinstance(currency, str) and _CURRENCY.fullmatch(currency):
        kept["currency"] = currency
    return kept
