"""What a JSON column holds, read with care: what no code of ours wrote must not stop anybody."""

from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from models.events.format import EventData
from models.events.messages import describe_problems

_DATA: Final = TypeAdapter(EventData)
_OF_A_TICKET: Final = ("operator", "ticket_id")  # which a ticket's own facts do not repeat


def stored_object(column: object) -> dict[str, Any]:
    """The object in *column*; where it is none, one that shows what is there instead."""
    return column if isinstance(column, dict) else {"not an object": column}


def stored_data_problem(data: object) -> str | None:
    """What is wrong with an event's *data* as the log holds it, in words; None: nothing."""
    if not isinstance(data, dict):
        return f"data in the log is {_kind(data)}, not an object"
    if problems := _problems(data):
        return f"data in the log: {describe_problems(problems, place=_place, rules={})}"
    return None


def well_typed_facts(facts: object) -> dict[str, Any]:
    """Those of a ticket's *facts* that have the type they must have; nearly always all."""
    if not isinstance(facts, dict):
        return {}
    wrong = {
        problem["loc"][0] for problem in _problems({**dict.fromkeys(_OF_A_TICKET, "-"), **facts})
    }
    return {name: fact for name, fact in facts.items() if name not in wrong} if wrong else facts


def _problems(data: dict[str, Any]) -> list[ErrorDetails]:
    try:
        _DATA.validate_python(data)
    except ValidationError as error:
        return error.errors(include_url=False, include_context=False)
    return []


def _place(loc: tuple[int | str, ...]) -> str:
    return str(loc[0]) if loc else "the object"


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case list():
            return "a list"
        case str():
            return "a text"
        case bool():
            return "a truth value"
        case _:
            return "a number"
