"""Describes what follows from skipping many dead notices."""

from collections import Counter
from collections.abc import Sequence

from models.triage import ResolvedNotice
from models.triage.sentences import starts_close_delay
from worker.cli.triage.display import counted


def outlook(notices: Sequence[ResolvedNotice], refusals: Sequence[str]) -> str:
    """Describe what follows from skipping many, counted: close delays, rollbacks, next notices."""
    started = sum(map(starts_close_delay, notices))
    withdrawn = sum(notice.withdrawn for notice in notices)
    following = [notice.next_action for notice in notices if notice.next_action is not None]
    parts = [f"close delays that start: {started:,}"] if started else []
    parts += [f"rollbacks withdrawn: {withdrawn:,}"] if withdrawn else []
    if following:
        parts.append("sent next: " + counted(following, "notice"))
    parts += [f"not possible: {count:,} ({why})" for why, count in Counter(refusals).items()]
    return "".join(f"; {part}" for part in parts)
