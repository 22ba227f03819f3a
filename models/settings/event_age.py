"""Reads the one setting that a check of events needs, where there are no servers."""

from datetime import timedelta

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from models.settings.errors import InvalidSettings, describe_errors
from models.settings.reading import CONFIG
from models.settings.settings import Settings
from models.settings.types import PositiveDuration


class _EventAge(BaseSettings):
    """The one setting that a check of events without a server needs."""

    model_config = CONFIG

    event_age_max: PositiveDuration = Settings.model_fields["event_age_max"].default


def read_event_age_max() -> timedelta:
    """Read this setting alone, where the others need not be set. Raises InvalidSettings."""
    try:
        return _EventAge().event_age_max
    except ValidationError as error:
        problems = describe_errors(error, described=Settings)
    raise InvalidSettings(problems)  # outside the except: the caught error holds the value
