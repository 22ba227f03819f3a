"""Reads what a seamless wallet answers (contracts: AMBSlot 2.3). Somebody else's text: bounded.

The wire has read 64 KiB of it at most. Whatever is not as the contract has it is simply not there;
nothing raises, no number is rounded, and nothing is computed that a short text could make long.
"""

import json
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, Final

from worker.delivery.calls import Answer

TEXT_CHARACTERS_MAX: Final = 200
_DIGITS_MAX: Final = 40  # of an amount of money: any that exists, with room
_CODE_DIGITS_MAX: Final = 9
_EXACT: Final = Context(prec=4 * _DIGITS_MAX)


@dataclass(frozen=True, slots=True)
class WalletAnswer:
    """What was understood of an answer; None: not there, or not of its form."""

    code: int | None = None
    message: str | None = None
    ref_id: str | None = None
    before: Decimal | None = None  # the balance, in currency units, as written
    after: Decimal | None = None

    @property
    def moved(self) -> Decimal | None:
        """By how much the balance moved, exactly."""
        if self.before is None or self.after is None:
            return None
        return _EXACT.subtract(self.after, self.before)


def read_wallet_answer(answer: Answer) -> WalletAnswer:
    """Read *answer*; of one that was cut off or is no JSON object, nothing is understood."""
    if answer.cut:
        return WalletAnswer()
    told = _document(answer.body)
    status, data = _object(told, "status"), _object(told, "data")
    balance = _object(data, "balance")
    return WalletAnswer(
        code=_code(status.get("code")),
        message=_text(status.get("message")),
        ref_id=_text(data.get("refId")),
        before=_amount(balance.get("before")),
        after=_amount(balance.get("after")),
    )


def _document(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body.decode("utf-8-sig"), parse_float=Decimal)
    # ArithmeticError: an exponent beyond what a Decimal holds. RecursionError: nested too deeply.
    except (ValueError, ArithmeticError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _object(told: dict[str, Any], name: str) -> dict[str, Any]:
    inner = told.get(name)
    return inner if isinstance(inner, dict) else {}


def _code(value: object) -> int | None:
    number = _number(value)
    if number is None or number.adjusted() >= _CODE_DIGITS_MAX:
        return None
    return int(number) if number == number.to_integral_value() else None


def _amount(value: object) -> Decimal | None:
    number = _number(value)
    if number is None:
        return None
    # Judged by its form before anything is done with it: 1E+999999 is short, and long in full.
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int), "it is finite"
    if len(digits) > _DIGITS_MAX or abs(exponent) > _DIGITS_MAX:
        return None
    return number


def _number(value: object) -> Decimal | None:
    """A JSON number; `true` is none, and neither are NaN and Infinity, which Python lets pass."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    return Decimal(value)


def _text(value: object) -> str | None:
    """Text, its beginning at most, without what a terminal or a database stumbles over."""
    if not isinstance(value, str):
        return None
    beginning = value[:TEXT_CHARACTERS_MAX]
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in beginning)
