"""The page `models/SETTINGS.md`: every setting, generated from `models.settings.settings`.

`python -m models.settings.table` writes it; a test fails when it is out of date.
"""

from datetime import timedelta
from pathlib import Path
from typing import Final

from pydantic.fields import FieldInfo

from models.platform.durations import format_duration
from models.platform.generated_pages import with_sections
from models.settings.console_settings import ConsoleSettings
from models.settings.errors import variable_name
from models.settings.purposes import purpose
from models.settings.settings import Settings

PAGE: Final = Path(__file__).parents[1] / "SETTINGS.md"


def settings_table() -> str:
    """Return all settings as a Markdown table: name, default, what it does."""
    rows = ["| setting | default | what it does |", "|---|---|---|"]
    for name in _in_order():
        field = Settings.model_fields[name]
        text = purpose(Settings, name).replace("|", "\\|")
        rows.append(f"| `{variable_name(name)}` | {_default(field)} | {text} |")
    return "\n".join(rows) + "\n"


def refreshed(page: str) -> str:
    """Return *page* with the present table."""
    return with_sections(page, "models.settings.table", {"settings": settings_table()})


def _in_order() -> list[str]:
    """Return the names of all settings: what is required, what several processes read, the rest."""
    of_console = set(ConsoleSettings.model_fields)
    fields = Settings.model_fields
    return sorted(fields, key=lambda name: (name in of_console, not fields[name].is_required()))


def _default(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "shown_default" in extra:
        return str(extra["shown_default"])
    if field.is_required():
        return "**required**"
    value = field.default
    return f"`{format_duration(value) if isinstance(value, timedelta) else value}`"


if __name__ == "__main__":
    PAGE.write_text(refreshed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
