"""What is wrong with an environment, told to the person who wrote it. No message holds a value."""

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from models.settings.types import SERVICE_LINKS

PREFIX: Final = "SLIPWAY_"
_SERVICE_LINK: Final = re.compile(r"_(SERVICE_(HOST|PORT.*)|PORT(_[0-9]+_(TCP|UDP).*)?)$")


class InvalidSettings(Exception):
    """The environment cannot be used. The message names every variable to mend."""

    def __init__(self, problems: Iterable[str]) -> None:
        """Keep the problems: sentences that begin with the variable's name."""
        self.problems = tuple(problems)
        super().__init__("\n  ".join(("These settings cannot be used:", *self.problems)))


def variable_name(field: str) -> str:
    """Name the environment variable of a field: `redis_url` -> `SLIPWAY_REDIS_URL`."""
    return PREFIX + field.upper()


def unknown_variables(environment: Iterable[str], *, known: Iterable[str]) -> list[str]:
    """Tell which `SLIPWAY_*` variables are not settings, each with the nearest one that is."""
    names = [variable_name(field) for field in known]
    return [_stranger(name, names) for name in sorted(environment) if _is_stranger(name, names)]


def describe_errors(error: ValidationError, *, described: Mapping[str, FieldInfo]) -> list[str]:
    """Tell what a failed validation found, a sentence or more for each variable."""
    return list(_told(error, described))


def _is_stranger(name: str, names: list[str]) -> bool:
    return name.upper().startswith(PREFIX) and name.upper() not in names


def _stranger(name: str, names: list[str]) -> str:
    if _SERVICE_LINK.search(name):
        return f"{name} is not a setting: {SERVICE_LINKS}"
    nearest = get_close_matches(name.upper(), names, n=1, cutoff=0)[0]
    return f"{name} is not a setting; the nearest one is {nearest}"


def _told(error: ValidationError, described: Mapping[str, FieldInfo]) -> Iterator[str]:
    for fault in error.errors(include_url=False, include_input=False):
        if not fault["loc"]:  # values that disagree: those messages name their variables
            yield from str(fault["ctx"]["error"]).splitlines()
            continue
        field = str(fault["loc"][0])
        match fault["type"]:
            case "missing":
                purpose = " ".join((described[field].description or "").split())
                yield f"{variable_name(field)} is not set. {purpose}"
            case "default_factory_not_called":
                continue  # it follows a field whose own fault is told
            case "value_error":
                yield f"{variable_name(field)}: {fault['ctx']['error']}"
            case _:
                yield f"{variable_name(field)}: {fault['msg']}"
