"""Describes what is wrong with an input: where, what it must be, and what it was."""

from collections.abc import Callable, Mapping, Sequence

from pydantic_core import ErrorDetails

PROBLEMS_SHOWN_MAX = 5
_SHOWN_MAX = 80  # fits a line
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
