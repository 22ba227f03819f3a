"""Says in words what is wrong with an input: where, what it must be, and what it was."""

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
_STRANGERS_NOTE = "unknown fields are kept, but must be storable as JSON"
_TOO_DEEP = "not JSON: recursion limit exceeded"
_SHOWN_MAX = 80  # fits a line
_SURROGATE = re.compile("[\ud800-\udfff]")  # most parsers refuse one; Python's does not
_LOOKED_AT = 1024  # bytes show how a text is encoded

_OF_PEOPLE = {"player_id", "user_id"}  # not repeated: messages are read by others, and logged

Place = Callable[[tuple[int | str, ...]], str]


def describe_problems(
    problems: Sequence[ErrorDetails], *, place: Place, rules: Mapping[str, str]
) -> str:
    """The first few of *problems*. *place* names where, *rules* says what is allowed there."""
    said = list(dict.fromkeys(_problem(problem, place, rules) for problem in problems))
    more = len(said) - PROBLEMS_SHOWN_MAX
    shown = "; ".join(said[:PROBLEMS_SHOWN_MAX])
    return shown + (f"; and {more} more" if more > 0 else "")


def _problem(problem: ErrorDetails, place: Place, rules: Mapping[str, str]) -> str:
    where = place(problem["loc"])
    if problem["type"] == "missing":
        return f"{where}: is missing"
    name = where.removeprefix("data.")
    rule = rules.get(name, _as_of_json(problem["msg"]))
    if name in _OF_PEOPLE:
        return f"{where}: {rule}"
    return f"{where}: {rule} (was {quote(problem['input'])})"


def _as_of_json(complaint: str) -> str:
    """Pydantic speaks of Python where it is handed Python; publishers know JSON."""
    return complaint.replace("a valid dictionary", "an object").replace("a valid list", "an array")


def quote(given: object) -> str:
    """What was given, on one line."""
    text = repr(given)
    if len(text) <= _SHOWN_MAX:
        return text
    return f"{text[:_SHOWN_MAX]}… ({len(text)} characters)"


def not_json(raw: bytes, complaint: str, *, what: str = "the event") -> Refusal:
    """*raw* is not JSON, the parser's *complaint* says why; or not even UTF-8."""
    try:
        raw.decode()
    except UnicodeDecodeError as broken:
        instead = encoding_problem(raw[:_LOOKED_AT])
        return Refusal(
            Reason.NOT_UTF8,
            f"{what} is not UTF-8: byte {broken.start} ({broken.reason})"
            + (f"; {instead}" if instead else ""),
        )
    message = "not JSON: " + complaint.removeprefix("Invalid JSON: ")
    if _TOO_DEEP in message:
        place = message.partition(_TOO_DEEP)[2]
        message = f"nested too deeply{place}; an event is an object with an object `data`"
    elif instead := encoding_problem(raw[:_LOOKED_AT]):
        message += f"; {instead}"
    return Refusal(Reason.NOT_JSON, message)


def check_normal(ids: Mapping[str, str | None]) -> None:
    """Raise Refusal where one of *ids*, by their places, is not in Unicode's form NFC.

    It would look the same as the id in that form, and be another ticket.
    """
    for place, given in ids.items():
        if given is not None and (problem := not_normal(given)):
            raise Refusal(Reason.INVALID_EVENT, f"{place}: {problem}")


def not_normal(given: str) -> str | None:
    """Why *given*, in which letters and accents may be apart, is no id; None: it may be one."""
    if given.isascii() or is_normalized("NFC", given):
        return None
    return f"must be in Unicode's form NFC: {normalize('NFC', given)!a} (was {given!a})"


def check_storable(value: object, where: str) -> None:
    """Raise Refusal for what PostgreSQL's jsonb does not take.

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
                Reason.INVALID_EVENT, f"{where}: the number is not finite; {_STRANGERS_NOTE}"
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
