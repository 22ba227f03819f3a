"""A ticket's facts in words, for staff: its code and player, and its money in currency units."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from models.platform.money import to_decimal_units

_NAMES: Final = {
    "ticket_code": "code",
    "player_id": "player",
    "game": "game",
    "game_id": "game id",
    "ticket_type": "type",
    "reason": "reason",
}
_AMOUNTS: Final = {
    "price": "price",
    "stake": "stake",
    "wht_amount": "withholding tax",
    "ext_amount": "extra amount",
    "gross_payout": "gross payout",
    "net_payout": "net payout",
}


def in_words(facts: Mapping[str, Any], *, currency: object = None) -> Iterator[str]:
    """Format those that *facts* hold: `code ABC`, `player p-1`, `price 5.00 EUR`.

    *currency* is the ticket's, for *facts* that name none.
    """
    yield from (f"{word} {fact}" for word, fact in facts_by_name(facts, currency=currency))
    if facts.get("correction") is True:
        yield "a correction"


def facts_by_name(
    facts: Mapping[str, Any], *, currency: object = None
) -> Iterator[tuple[str, str]]:
    """Return those that *facts* hold, each with its name: `("price", "5.00 EUR")`."""
    for name, word in _NAMES.items():
        fact = facts.get(name)  # of any type: a damaged row is shown too
        if fact is not None and fact != "":
            yield word, str(fact)
    for name, money in amounts_by_field(facts, currency=currency):
        yield _AMOUNTS[name], money


def amounts_by_field(
    facts: Mapping[str, Any], *, currency: object = None
) -> Iterator[tuple[str, str]]:
    """Return the amounts that *facts* hold, in currency units: `("net_payout", "5.00 EUR")`."""
    for name in _AMOUNTS:
        if facts.get(name) is not None:
            yield name, _money(facts[name], facts.get("currency") or currency)


def _money(amount: object, currency: object) -> str:
    if not isinstance(amount, int) or not isinstance(currency, str):
        return f"{amount} (minor unit)"
    try:
        return f"{to_decimal_units(amount, currency):,f} {currency}"
    except ValueError:  # not an active currency
        return f"{amount} (minor unit of {currency})"
