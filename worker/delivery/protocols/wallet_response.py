"""Reads the response of a seamless wallet (contracts 2.3). It is untrusted input, so it is bounded.

The HTTP client has read 64 KiB of it at most. A member that does not follow the contract counts as
missing; nothing raises, no number is rounded, and no short text can cause a long computation. What
is unambiguous is read all the same: a code written as text, a byte within a message that is not
UTF-8, the beginning of a response that is too long. The player was paid, whatever the form.
"""

import json
import re
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, Final

from worker.delivery.http.decoding import compression_of
from worker.delivery.http.exchange import HttpResponse

TEXT_CHARACTERS_MAX: Final = 200
_DIGITS_MAX: Final = 40  # of an amount of money: more than any has
_CODE_DIGITS_MAX: Final = 9
_EXACT: Final = Context(prec=4 * _DIGITS_MAX)
_CODE_AS_TEXT: Final = re.compile(r"[+-]?[0-9]{1,9}(\.0{1,9})?", re.ASCII)
_BYTE_ORDER_MARK: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"
_UNPACKED_HERE: Final = frozenset({"gzip", "x-gzip", "deflate"})  # unless they are damaged
_BLANK: Final = " \t\r\n"  # JSON's own
# What Python raises: bad syntax, an exponent beyond a Decimal's, nesting that is too deep.
_UNREADABLE: Final = (ValueError, ArithmeticError, RecursionError)


class _Contradiction:
    """Replaces the value where a document gives one name two values."""

    def __repr__(self) -> str:
        return "contradiction"


@dataclass(frozen=True, slots=True)
class WalletResponse:
    """What could be read of a response; None for what is missing or malformed.

    *flaw* describes why there is no code, and *repairs* names what had to be read in spite of its
    form.
    """

    code: int | None = None
    message: str | None = None
    ref_id: str | None = None
    before: Decimal | None = None  # the balance, in currency units, as written
    after: Decimal | None = None
    flaw: str = "without a status.code"
    repairs: tuple[str, ...] = ()

    @property
    def moved(self) -> Decimal | None:
        """The exact change of the balance."""
        if self.before is None or self.after is None:
            return None
        return _EXACT.subtract(self.after, self.before)


def read_wallet_response(response: HttpResponse) -> WalletResponse:
    """Read *response*. Of one that was truncated, read the members that came whole."""
    text, repairs = _text_of(response)
    document = _whole_members(text) if response.truncated else _document(text)
    if document is None:
        return WalletResponse(flaw=_describe_unreadable(response))
    status, data = document.get("status"), _object(document, "data")
    code, flaw = _code_in(status)
    if response.truncated and code is None:
        flaw = _describe_unreadable(response)  # its status may be in the part that is missing
    if isinstance(_object(document, "status").get("code"), str):
        repairs.append("code_as_text")
    balance = _object(data, "balance")
    return WalletResponse(
        code=code,
        message=_text(_object(document, "status").get("message")),
        ref_id=_text(data.get("refId")),
        before=_amount(balance.get("before")),
        after=_amount(balance.get("after")),
        flaw=flaw,
        repairs=tuple(repairs),
    )


def _text_of(response: HttpResponse) -> tuple[str, list[str]]:
    """Return the body as a text, and how it differs from plain UTF-8, as codes of doubts."""
    repairs = [f"answer_{repair}" for repair in response.repairs]
    if response.truncated:
        repairs.append("answer_cut")
    try:
        text = response.body.decode()
    except UnicodeDecodeError as error:
        text = response.body.decode(errors="replace")
        # Where it is cut off, half a character is nothing that the wallet wrote.
        if not (response.truncated and error.end == len(response.body)):
            repairs.append("answer_not_utf_8")
    if text.startswith(_BYTE_ORDER_MARK):
        repairs.append("answer_byte_order_mark")
    return text.removeprefix(_BYTE_ORDER_MARK), repairs


def _document(text: str) -> dict[str, Any] | None:
    """Read a whole document. Returns None if it is not JSON, and {} if it is not an object."""
    try:
        document = _JSON.decode(text)
    except _UNREADABLE:
        return None
    return document if isinstance(document, dict) else {}


def _whole_members(text: str) -> dict[str, Any] | None:
    """Read the members of an object that are whole, up to where *text* breaks off."""
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
    """Skip *sign* and the blanks around it. Raises ValueError if there is something else."""
    at = _after_blanks(text, at)
    if not text.startswith(sign, at):
        raise ValueError(sign)
    return _after_blanks(text, at + len(sign))


def _after_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANK:
        at += 1
    return at


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object from its members; a name with two different values has none."""
    members = dict(pairs)
    if len(members) < len(pairs):
        first: dict[str, Any] = {}
        for name, value in pairs:
            # Compared by their form: to Python, 0 and false are equal.
            if name in first and repr(first[name]) != repr(value):
                members[name] = _CONTRADICTION
            first.setdefault(name, value)
    return members


def _describe_unreadable(response: HttpResponse) -> str:
    """Describe what is wrong with a body from which no code could be read."""
    body = response.body
    packed = compression_of(response)
    if packed is not None:
        why = "it is damaged" if packed in _UNPACKED_HERE else "it cannot be unpacked here"
        return f"with a compressed body ({packed}), which was not asked for; {why}"
    if response.truncated:
        return f"with a body cut at {len(body) // 1024} KiB, without a whole status before that"
    if not body.strip():
        return "with an empty body"
    try:
        body.decode()
    except UnicodeDecodeError:
        return "with a body that is not UTF-8"
    broken = "; the connection broke off" if response.unverified_end else ""
    return f"with a body that is not JSON{broken}"


def _code_in(status: object) -> tuple[int | None, str]:
    """Return the code, or a description of why there is none."""
    if isinstance(status, _Contradiction):
        return None, "with two different values of status"
    if not isinstance(status, dict) or "code" not in status:
        return None, "without a status.code"
    code = status["code"]
    if isinstance(code, _Contradiction):
        return None, "with two different values of status.code"
    number = _code(code)
    return number, "" if number is not None else "with a status.code that is not a whole number"


def _object(document: dict[str, Any], name: str) -> dict[str, Any]:
    inner = document.get(name)
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
    # Checked before any computation: 1E+999999 is short, but long when written out.
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int), "it is finite"
    if len(digits) > _DIGITS_MAX or abs(exponent) > _DIGITS_MAX:
        return None
    return number


def _number(value: object) -> Decimal | None:
    """Return a JSON number; `true`, NaN and Infinity are none, though Python accepts them."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    return Decimal(value)


def _text(value: object) -> str | None:
    """Return the beginning of a text, without characters that a terminal or database refuses."""
    if not isinstance(value, str):
        return None
    beginning = value[:TEXT_CHARACTERS_MAX]
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in beginning)


_CONTRADICTION: Final = _Contradiction()
_JSON: Final = json.JSONDecoder(
    parse_float=Decimal,
    object_pairs_hook=_unambiguous,
    strict=False,  # allow a line break within a message
)
