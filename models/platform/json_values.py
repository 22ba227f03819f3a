"""Values as JSON holds them: the same in the command line's `--json` and in the operations API."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum

from models.platform.durations import format_duration
from models.platform.timestamps import format_timestamp


def as_json_value(value: object) -> object:  # noqa: PLR0911 - one line for each kind of value
    """Convert *value*: dataclasses to objects, times to RFC 3339 in UTC, bytes to text."""
    match value:
        case Enum():
            return value.value
        case datetime():
            return format_timestamp(value)
        case timedelta():
            return format_duration(value)
        case bytes():
            return value.decode(errors="replace")
        case Mapping():
            return {str(name): as_json_value(inner) for name, inner in value.items()}
        case tuple() if hasattr(value, "_asdict"):
            return as_json_value(value._asdict())
        case list() | tuple():
            return [as_json_value(inner) for inner in value]
        case _ if is_dataclass(value):
            return {
                field.name: as_json_value(getattr(value, field.name)) for field in fields(value)
            }
        case _:
            return value
