"""Describes what is wrong with the environment's settings. No message holds a value."""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Final

from pydantic import BaseModel, ValidationError

from models.platform.errors import SlipwayError
from models.settings.purposes import purpose
from models.settings.types import SERVICE_LINKS

PREFIX: Final = "SLIPWAY_"
_SERVICE_LINK: Final = re.compile(r"_(SERVICE_(HOST|PORT.*)|PORT(_[0-9]+_(TCP|UDP).*)?)$")


class InvalidSettings(SlipwayError):
    """The environment cannot be used. The message names every variable to fix."""

    def __init__(self, problems: Iterable[str]) -> None:
        """*problems* are sentences that begin with the variable's name."""
        self.problems = tuple(problems)
        super().__init__("\n  ".join(("These settings cannot be used:", *self.problems)))


def variable_name(field: str) -> str:
    """Return the environment variable of a field: `redis_url` -> `SLIPWAY_REDIS_URL`."""
    return PREFIX + field.upper()


def unknown_variables(environment: Iterable[str], *, known: Iterable[str]) -> list[str]:
    """Describe `SLIPWAY_*` variables that are no settings, each with the nearest one that is."""
    names = [variable_name(field) for field in known]
    return [
        _describe_unknown(name, names) for name in sorted(environment) if _is_unknown(name, names)
    ]


def describe_errors(error: ValidationError, *, described: type[BaseModel]) -> list[str]:
    """Describe a failed validation, with one or more sentences for each variable."""
    return list(_descriptions(error, described))


def _is_unknown(name: str, names: list[str]) -> bool:
    return name.upper().startswith(PREFIX) and name.upper() not in names


def _describe_unknown(name: str, names: list[str]) -> str:
    if _SERVICE_LINK.search(name):
        return f"{name} is not a setting: {SERVICE_LINKS}"
    nearest = get_close_matches(name.upper(), names, n=1, cutoff=0)[0]
    return f"{name} is not a setting; the nearest one is {nearest}"


def _descriptions(error: ValidationError, described: type[BaseModel]) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_input=False):
        if not problem["loc"]:  # contradicting values: those messages name their variables
            yield from str(problem["ctx"]["error"]).splitlines()
            continue
        field = str(problem["loc"][0])
        match problem["type"]:
            case "missing":
                yield f"{variable_name(field)} is not set. {purpose(described, field)}"
            case "default_factory_not_called":
                continue  # follows from another field, whose own error is described
            case "value_error":
                yield f"{variable_name(field)}: {problem['ctx']['error']}"
            case _:
                yield f"{variable_name(field)}: {problem['msg']}"
