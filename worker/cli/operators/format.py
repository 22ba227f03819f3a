"""An operator's terms as a person reads them."""

from datetime import timedelta

from models.platform.durations import format_duration


def in_words(value: object) -> str:
    """Word one of the terms: `yes`, `24h`, `50/s` for a rate, `none` where nothing is set."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case timedelta():
            return format_duration(value)
        case float():
            return f"{value:g}/s"
        case _:
            return str(value)
