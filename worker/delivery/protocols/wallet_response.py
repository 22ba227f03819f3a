"""Reads what a seamless wallet answers (contracts: AMBSlot 2.3). Somebody else's text: bounded.

The wire has read 64 KiB of it at most. Whatever is not as the contract has it is simply not there;
nothing raises, no number is rounded, and nothing is computed that a short text could make long.
What is plain is read all the same: a code written as text, a byte that is not UTF-8 within a
message, the beginning of an answer that is too long. The player was paid, however it is said.
"""

import json
import re
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, Final

from worker.delivery.http.exchange import HttpResponse

TEXT_CHARACTERS_MAX: Final = 200
_DIGITS_MAX: Final = 40  # of an amount of money: any that exists, with room
_CODE_DIGITS_MAX: Final = 9
_EXACT: Final = Context(prec=4 * _DIGITS_MAX)
_CODE_AS_TEXT: Final = re.compile(r"[+-]?[0-9]{1,9}(\.0{1,9})?", re.ASCII)
_COMPRESSED: Final = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")  # gzip and zstd say so themselves
_PLAIN_CODINGS: Final = frozenset({"", "identity"})
_CODINGS: Final = ("gzip", "x-gzip", "deflate", "br", "zstd", "compress")  # named, if one of them
_BLANK: Final = " \t\r\n"  # JSON's own
# What Python raises for a document: an exponent beyond a Decimal's, nested too deeply, bad syntax.
_UNREADABLE: Final = (ValueError, ArithmeticError, RecursionError)


class _Contradiction:
    """Stands where a document gives one name two values."""

    def __repr__(self) -> str:
        return "contradiction"


@dataclass(frozen=True, slots=True)
class WalletResponse:
    """What was understood of an answer; None: not there, or not of its form.

    *flaw*: why there is no code, in words.
    """

    code: int | None = None
    message: str | None = None
    ref_id: str | None = None
    before: Decimal | None = None  # the balance, in currency units, as written
    after: Decimal | None = None
    flaw: str = "without a status.code"

    @property
    def moved(self) -> Decimal | None:
        """By how much the balance moved, exactly."""
        if self.before is None or self.after is None:
            return None
        return _EXACT.subtract(self.after, self.before)


def read_wallet_answer(answer: HttpResponse) -> WalletResponse:
    """Read *answer*. Of one that was cut off, the members of the document that came whole."""
    text = answer.body.decode("utf-8-sig", "replace")
    said = _members_before_the_cut(text) if answer.cut else _document(text)
    if said is None:
        return WalletResponse(flaw=_why_unreadable(answer))
    status, data = said.get("status"), _object(said, "data")
    code, flaw = _code_in(status)
    if answer.cut and code is None:
        flaw = _why_unreadable(answer)  # its status may be behind the cut
    balance = _object(data, "balance")
    return WalletResponse(
        code=code,
        message=_text(_object(said, "status").get("message")),
        ref_id=_text(data.get("refId")),
        before=_amount(balance.get("before")),
        after=_amount(balance.get("after")),
        flaw=flaw,
    )


def _document(text: str) -> dict[str, Any] | None:
    """Read a whole document; None where it is not JSON, empty where it is no object."""
    try:
        said = _JSON.decode(text)
    except _UNREADABLE:
        return None
    return said if isinstance(said, dict) else {}


def _members_before_the_cut(text: str) -> dict[str, Any] | None:
    """Read those members of an object that are whole, up to where *text* breaks off."""
    members: list[tuple[str, Any]] = []
    try:
        at = _after(text, "{", 0)
        while True:
            name, at = _JSON.raw_decode(text, at)
            value, at = _JSON.raw_decode(text, _after(text, ":", at))
            if not isinstance(name, str):
                return None
            members.append((name, value))
            at = _after(text, ",", at)
    except _UNREADABLE:  # here it breaks off, or was never JSON
        pass
    try:
        return _unambiguous(members)
    except RecursionError:
        return None


def _after(text: str, sign: str, at: int) -> int:
    """Skip *sign* and the blanks around it. Raises ValueError if something else stands there."""
    at = _after_blanks(text, at)
    if not text.startswith(sign, at):
        raise ValueError(sign)
    return _after_blanks(text, at + len(sign))


def _after_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANK:
        at += 1
    return at


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its members; a name with two different values has none."""
    made = dict(pairs)
    if len(made) < len(pairs):
        first: dict[str, Any] = {}
        for name, value in pairs:
            # By their form: to Python, 0 and false are equal.
            if name in first and repr(first[name]) != repr(value):
                made[name] = _CONTRADICTION
            first.setdefault(name, value)
    return made


def _why_unreadable(answer: HttpResponse) -> str:
    """Say what is wrong with a body of which no code could be read."""
    body = answer.body
    coding = (answer.coding or "").strip().lower()
    if coding not in _PLAIN_CODINGS or body.startswith(_COMPRESSED):
        how = f" ({coding})" if coding in _CODINGS else ""
        return f"with a compressed body{how}, which was not asked for"
    if answer.cut:
        return f"with a body cut at {len(body) // 1024} KiB, without a whole status before that"
    if not body.strip():
        return "with an empty body"
    try:
        body.decode()
    except UnicodeDecodeError:
        return "with a body that is not UTF-8"
    broken = answer.unended and "; the connection broke off"
    return f"with a body that is not JSON{broken or ''}"


def _code_in(status: object) -> tuple[int | None, str]:
    """Give the code, or why there is none."""
    if isinstance(status, _Contradiction):
        return None, "with two different values of status"
    if not isinstance(status, dict) or "code" not in status:
        return None, "without a status.code"
    code = status["code"]
    if isinstance(code, _Contradiction):
        return None, "with two different values of status.code"
    read = _code(code)
    return read, "" if read is not None else "with a status.code that is not a whole number"


def _object(said: dict[str, Any], name: str) -> dict[str, Any]:
    inner = said.get(name)
    return inner if isinstance(inner, dict) else {}


def _code(value: object) -> int | None:
    if isinstance(value, str) and _CODE_AS_TEXT.fullmatch(value.strip()):
        value = Decimal(value.strip())
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


_CONTRADICTION: Final = _Contradiction()
_JSON: Final = json.JSONDecoder(
    parse_float=Decimal,
    object_pairs_hook=_unambiguous,
    strict=False,  # a line break within a message does no harm
)
