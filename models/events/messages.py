"""Rules of what events may hold, each with the message for what breaks it."""

import re
from collections.abc import Mapping
from sys import float_info
from unicodedata import is_normalized, normalize

from models.events.encoding import encoding_problem
from models.events.refusal import Refusal
from models.events.stream_contract import ID_CHARACTERS_MAX
from models.vocabulary import Reason

TEXT_RULE = "must be text of at most 255 characters, without NUL"
IDS_RULE = f"must be 1 to {ID_CHARACTERS_MAX} printable characters without spaces"
_LARGEST = float_info.max
_UNKNOWN_FIELDS_NOTE = "unknown fields are kept, but must be storable as JSON"
_TOO_DEEP = "not JSON: recursion limit exceeded"
_SURROGATE = re.compile("[\ud800-\udfff]")  # most parsers refuse one; Python's does not
_HEAD_BYTES = 1024  # are enough to recognise an encoding


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
