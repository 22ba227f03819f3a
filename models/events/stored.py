"""Reads JSON columns with care: what our code did not write must not stop a process."""

from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from models.events.format import EventData
from models.platform.input_problems import describe_problems

_DATA: Final = TypeAdapter(EventData)
_TICKET_KEY: Final = ("operator", "ticket_id")  # a ticket's own facts do not repeat them


def stored_object(column: object) -> dict[str, Any]:
    """Return the object in *column*; another value comes back inside an object."""
    return column if isinstance(column, dict) else {"not an object": column}


def stored_data_problem(data: object) -> str | None:
    """Describe what is wrong with an event's *data* in the log; returns None if it is all right."""
    if not isinstance(data, dict):
        return f"data in the log is {_type_name(data)}, not an object"
    if problems := _problems(data):
        return f"data in the log: {describe_problems(problems, place=_place, rules={})}"
    return None


def well_typed_facts(facts: object) -> dict[str, Any]:
    """Return those of a ticket's *facts* that have the type they must have; nearly always all."""
    if not isinstance(facts, dict):
        return {}
    wrong = {
        problem["loc"][0] for problem in _problems({**dict.fromkeys(_TICKET_KEY, "-"), **facts})
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


def _type_name(value: object) -> str:
    match value:
        case None:
            return "null"
        case list():
            return "an array"
        case str():
            return "a string"
        case bool():
            return "a boolean"
        case _:
            return "a number"
