"""The page `models/SETTINGS.md`: every setting, made from `models.settings.settings`.

`python -m models.settings.table` writes it anew; a test says when that is due.
"""

from datetime import timedelta
from pathlib import Path
from typing import Final

from pydantic.fields import FieldInfo

from models.platform.durations import format_duration
from models.settings.errors import variable_name
from models.settings.settings import Settings

PAGE: Final = Path(__file__).parents[1] / "SETTINGS.md"
_BEGIN: Final = "<!-- made by `python -m models.settings.table`: begin -->\n"
_END: Final = "<!-- made by `python -m models.settings.table`: end -->\n"


def settings_table() -> str:
    """Write all settings as a Markdown table: name, default, what it does."""
    rows = ["| setting | default | what it does |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        purpose = " ".join((field.description or "").split()).replace("|", "\\|")
        rows.append(f"| `{variable_name(name)}` | {_default(field)} | {purpose} |")
    return "\n".join(rows) + "\n"


def refreshed(page: str) -> str:
    """Put the present table between the page's marks. Raises ValueError when a mark is missing."""
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"{PAGE.name} has lost the marks between which its table stands")
    return f"{before}{begin}\n{settings_table()}\n{end}{after}"


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
