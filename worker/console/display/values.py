"""Times, durations and numbers as people read them."""

import json
import re
from datetime import datetime, timedelta
from typing import Final

from markupsafe import Markup

from models.platform.timestamps import format_timestamp
from worker.console.display.foreign_text import NOTHING

_TIMESTAMP: Final = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)Z")
_NOW: Final = timedelta(seconds=1)
_STEPS: Final = (
    (timedelta(days=1), "d"),
    (timedelta(hours=1), "h"),
    (timedelta(minutes=1), "min"),
    (timedelta(seconds=1), "s"),
)
_IN_DAYS_FROM: Final = timedelta(days=3)


def roughly(duration: timedelta) -> str:
    """Return a duration in its two largest units: `3 min 5 s`, `2 h`, `40 d`; never negative."""
    duration = abs(duration)
    if duration < _NOW:
        return f"{duration // timedelta(milliseconds=1)} ms"
    steps = _STEPS if duration >= _IN_DAYS_FROM else _STEPS[1:]
    for place, (length, unit) in enumerate(steps):
        count, rest = divmod(duration, length)
        if count:
            words = [f"{count} {unit}"]
            if place + 1 < len(steps):
                smaller, smaller_unit = steps[place + 1]
                words += [f"{rest // smaller} {smaller_unit}"] if rest // smaller else []
            return " ".join(words)
    raise AssertionError("a duration of a second or more has a unit")


def with_times(html: Markup) -> Markup:
    """Return *html* with the times of a sentence in the form of all others, each on one line."""
    replaced = _TIMESTAMP.sub(r'<span class="nowrap">\1 \2 UTC</span>', str(html))
    return Markup(replaced)  # noqa: S704 - it was HTML, and digits alone are moved


def ago(at: datetime, now: datetime) -> str:
    """Return how long ago, or in how long, *at* is: `5 min ago`, `in 2 h`, `now`."""
    passed = now - at
    if abs(passed) < _NOW:
        return "now"
    return f"{roughly(passed)} ago" if passed > timedelta() else f"in {roughly(passed)}"


def time_element(at: datetime | None, now: datetime, *, exact: bool = False) -> Markup:
    """Return `<time>`: relative to *now* with the exact time as its title, or the other way."""
    if at is None:
        return NOTHING
    moment = format_timestamp(at)
    readable = format_timestamp(at, "seconds").replace("T", " ").replace("Z", " UTC")
    relative = ago(at, now)
    text, title = (readable, relative) if exact else (relative, readable)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(moment, title, text)


def json_text(content: object) -> str:
    """Return JSON as people read it: indented, every letter as it is."""
    return json.dumps(content, ensure_ascii=False, indent=2)


def number(count: float) -> str:
    """Return a number with separators: `12,345`; a fraction with at most two decimals."""
    return f"{count:,}" if isinstance(count, int) else f"{count:,.2f}".rstrip("0").rstrip(".")


def bounded(count: int, most: int) -> str:
    """Return a count that was stopped at *most* + 1: `1,000+`."""
    return f"{most:,}+" if count > most else f"{count:,}"
