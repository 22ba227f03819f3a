"""Money: an integer in the currency's minor unit, in decimals only where a partner needs them.

Codes and decimals come from the package `iso4217`, which ships the standard's list one. An entry
without a minor unit (gold, test codes and the like) is left out: no amount can be counted in it.
Nothing here passes through a float.
"""

import re
from decimal import Decimal
from typing import Final

from iso4217 import Currency

AMOUNT_MAX: Final = 2**63 - 1  # minor units, either sign: what a bigint column holds
_DIGITS_MAX: Final = 40  # any amount that fits, with zeros to spare
_WRITTEN: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")

MINOR_DIGITS: Final = {
    currency.code: digits for currency in Currency if (digits := currency.exponent) is not None
}
"""The number of decimals of each active currency. What is not in here is not counted as money."""


def minor_digits(currency: str) -> int:
    """Return the number of decimals of amounts in this currency: EUR 2, JPY 0, KWD 3.

    Raises ValueError for what is not an active ISO 4217 code in capitals.
    """
    try:
        return MINOR_DIGITS[currency]
    except KeyError:
        raise ValueError(
            f"{currency[:10]!r} is not an active currency of ISO 4217; write a code such as EUR"
        ) from None


def to_decimal_units(amount_minor: int, currency: str) -> Decimal:
    """Convert minor units to currency units, with all the currency's decimals: EUR 500 -> 5.00.

    Exact for any int. Raises ValueError for an unknown currency.
    """
    amount = Decimal(amount_minor).as_tuple()
    # built from its digits: dividing would round to the decimal context's 28 digits
    return Decimal((amount.sign, amount.digits, -minor_digits(currency)))


def from_decimal_units(amount: Decimal | str, currency: str) -> int:
    """Convert currency units to minor units, exactly: EUR 5.00, 5 or 5.000 -> 500.

    Text is digits with an optional minus and decimal point, as in `-12.50`. Raises ValueError for
    an unknown currency, for text of another form, for an amount with more decimals than the
    currency has (EUR 5.001; nothing is rounded), that is not finite, or is beyond `AMOUNT_MAX`.
    """
    decimals = minor_digits(currency)
    value = _read(amount) if isinstance(amount, str) else amount
    if not value.is_finite() or len(value.as_tuple().digits) > _DIGITS_MAX:
        raise ValueError("not an amount of money: infinite, not a number, or far too many digits")
    if not value:
        return 0
    # checked by size before it is computed: 1E+999999999 is short to write and long to multiply
    if value.adjusted() < -decimals:
        raise _too_fine(currency)
    if value.adjusted() >= _DIGITS_MAX:
        raise _too_large(currency)
    numerator, denominator = value.as_integer_ratio()
    minor, beyond = divmod(numerator * int(10**decimals), denominator)
    if beyond:
        raise _too_fine(currency)
    if abs(minor) > AMOUNT_MAX:
        raise _too_large(currency)
    return minor


def _too_fine(currency: str) -> ValueError:
    decimals = minor_digits(currency)
    return ValueError(f"{currency} has {decimals} decimals and the amount more; it is not rounded")


def _too_large(currency: str) -> ValueError:
    return ValueError(f"an amount in {currency} is larger than {AMOUNT_MAX} minor units")


def _read(text: str) -> Decimal:
    if not _WRITTEN.fullmatch(text):
        shown = text[:_DIGITS_MAX]
        raise ValueError(f"{shown!r} is not an amount of money; write digits such as 12.50")
    return Decimal(text)
