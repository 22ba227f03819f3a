"""How settings are read from the `SLIPWAY_*` environment, and checked."""

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from models.settings.database_files import database_files_problems
from models.settings.errors import (
    PREFIX,
    InvalidSettings,
    describe_errors,
    unknown_variables,
    variable_name,
)
from models.settings.redis_address import redis_tls

Kind = TypeVar("Kind", bound=BaseSettings)

CONFIG: Final = SettingsConfigDict(
    env_prefix=PREFIX,
    env_ignore_empty=True,  # compose files pass unset variables as empty ones
    frozen=True,
    hide_input_in_errors=True,  # an input may be a key, or an address with a password
)
_DATABASE_URLS: Final = ("database_url", "migration_database_url")
_REDIS_URLS: Final = ("redis_url", "broker_url")


def read_environment(kind: type[Kind], *, described: type[BaseSettings]) -> Kind:
    """Read what *kind* declares; *described* has all settings that there are.

    Raises InvalidSettings, which lists all problems at once, when a variable, or a file that a
    URL names, is missing, cannot be used, contradicts another, or is not known.
    """
    problems = unknown_variables(os.environ, known=described.model_fields)
    from_environment: dict[str, Any] = {}  # nothing passed: each field reads its variable
    try:
        settings = kind(**from_environment)
    except ValidationError as error:
        problems += describe_errors(error, described=described)
    else:
        now = datetime.now(UTC)  # noqa: TID251 - processes read them when they start
        problems += database_files_problems(_named(settings, _DATABASE_URLS), now=now)
        problems += _redis_files_problems(_named(settings, _REDIS_URLS), now=now)
        if not problems:
            return settings
    raise InvalidSettings(problems)  # outside the except: the caught error holds the values


def _named(settings: BaseSettings, fields: Iterable[str]) -> dict[str, str]:
    """Return the values of those *fields* that *settings* have, by their variables."""
    had = [field for field in fields if field in type(settings).model_fields]
    return {variable_name(field): getattr(settings, field) for field in had}


def _redis_files_problems(urls: Mapping[str, str], *, now: datetime) -> Iterator[str]:
    if not any(tls is not None and tls.files for tls in map(redis_tls, urls.values())):
        return
    from models.settings.redis_files import (  # noqa: PLC0415 - loads cryptography, 8 MiB, for files only
        redis_files_problems,
    )

    yield from redis_files_problems(urls, now=now)
