"""Describes what is wrong with an input: where, what it must be, and what it was."""

import re
from collections.abc import Callable, Mapping, Sequence
from sys import float_info
from unicodedata import is_normalized, normalize

from pydantic_core import ErrorDetails

from models.events.encoding import encoding_problem
from models.events.refusal import Refusal
from models.events.stream_contract import ID_CHARACTERS_MAX
from models.vocabulary import Reason

PROBLEMS_SHOWN_MAX = 5
TEXT_RULE = "must be text of at most 255 characters, without NUL"
IDS_RULE = f"must be 1 to {ID_CHARACTERS_MAX} printable characters without spaces"
_LARGEST = float_info.max
_UNKNOWN_FIELDS_NOTE = "unknown fields are kept, but must be storable as JSON"
_TOO_DEEP = "not JSON: recursion limit exceeded"
_SHOWN_MAX = 80  # fits a line
_SURROGATE = re.compile("[\ud800-\udfff]")  # most parsers refuse one; Python's does not
_HEAD_BYTES = 1024  # are enough to recognise an encoding

_PERSONAL = {"player_id", "user_id"}  # not repeated: messages are logged, and read by others

Place = Callable[[tuple[int | str, ...]], str]


def describe_problems(
    problems: Sequence[ErrorDetails], *, place: Place, rules: Mapping[str, str]
) -> str:
    """Describe the first few of *problems*, by *place* and by the rule for it in *rules*."""
    lines = list(dict.fromkeys(_problem(problem, place, rules) for problem in problems))
    more = len(lines) - PROBLEMS_SHOWN_MAX
    shown = "; ".join(lines[:PROBLEMS_SHOWN_MAX])
    return shown + (f"; and {more} more" if more > 0 else "")


def _problem(problem: ErrorDetails, place: Place, rules: Mapping[str, str]) -> str:
    where = place(problem["loc"])
    if problem["type"] == "missing":
        return f"{where}: is missing"
    name = where.removeprefix("data.")
    rule = rules.get(name, _in_json_terms(problem["msg"]))
    if name in _PERSONAL:
        return f"{where}: {rule}"
    return f"{where}: {rule} (was {quote(problem['input'])})"


def _in_json_terms(complaint: str) -> str:
    """Replace Python's names of types, which Pydantic uses, by JSON's, which publishers know."""
    return complaint.replace("a valid dictionary", "an object").replace("a valid list", "an array")


def quote(given: object) -> str:
    """Return what was given, on one line."""
    text = repr(given)
    if len(text) <= _SHOWN_MAX:
        return text
    return f"{text[:_SHOWN_MAX]}… ({len(text)} characters)"


def not_json(raw: bytes, complaint: str, *, what: str = "the event") -> Refusal:
    """Return the refusal of *raw*, which is not UTF-8, or not JSON by the parser's *complaint*."""
    try:
        raw.decode()
    except UnicodeDecodeError as broken:
        instead = encoding_problem(raw[:_HEAD_BYTES])
        return Refusal(
            Reason.NOT_UTF8,
            f"{what} is not UTF-8: byte {broken.start} ({broken.reason})"
            + (f"; {instead}" if instead else ""),
        )
    message = "not JSON: " + complaint.removeprefix("Invalid JSON: ")
    if _TOO_DEEP in message:
        place = message.partition(_TOO_DEEP)[2]
        message = f"nested too deeply{place}; an event is an object with an object `data`"
    elif instead := encoding_problem(raw[:_HEAD_BYTES]):
        message += f"; {instead}"
    return Refusal(Reason.NOT_JSON, message)


def check_nfc(ids: Mapping[str, str | None]) -> None:
    """Raise Refusal if one of *ids*, by their places, is not in Unicode's form NFC.

    It would look the same as the id in that form, and be another ticket.
    """
    for place, given in ids.items():
        if given is not None and (problem := nfc_problem(given)):
            raise Refusal(Reason.INVALID_EVENT, f"{place}: {problem}")


def nfc_problem(given: str) -> str | None:
    """Return why *given*, whose letters and accents may be separate, is no id, or None."""
    if given.isascii() or is_normalized("NFC", given):
        return None
    return f"must be in Unicode's form NFC: {normalize('NFC', given)!a} (was {given!a})"


def check_storable(value: object, where: str) -> None:
    """Raise Refusal for what PostgreSQL's jsonb cannot hold.

    That is NUL, half of a surrogate pair, and a number that is infinite to most readers.
    """
    match value:
        case str() if "\x00" in value:
            raise Refusal(Reason.INVALID_EVENT, f"{where}: holds a NUL character; remove it")
        case str() if not value.isascii() and _SURROGATE.search(value):
            raise Refusal(
                Reason.INVALID_EVENT,
                f"{where}: holds half of a surrogate pair; write the whole character",
            )
        case int() | float() if not -_LARGEST <= value <= _LARGEST:  # nor is NaN
            raise Refusal(
                Reason.INVALID_EVENT, f"{where}: the number is not finite; {_UNKNOWN_FIELDS_NOTE}"
            )
        case dict():
            for name, inner in value.items():
                check_storable(name, where)
                check_storable(inner, f"{where}.{name}"[:200])
        case list():
            for inner in value:
                check_storable(inner, where)
        case _:
            pass
