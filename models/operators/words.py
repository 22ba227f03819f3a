"""An operator's terms as text for people."""

from datetime import timedelta

from models.platform.durations import format_duration


def format_term(value: object) -> str:
    """Format one of the terms: `yes`, `24h`, `50/s` for a rate, `none` where nothing is set."""
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
