"""Checks a file of events as the intake would read them, and publishes nothing."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import typer

from models.events.age import publish_age_problem
from models.events.cloud_event import time_name
from models.events.decode import read
from models.events.event import Entry, Unreadable
from models.events.stream_contract import EVENT_FIELD
from models.settings.event_age import read_event_age_max
from producers.publisher import EventUnsendable
from producers.publisher.event import prepare
from worker.cli.errors import Failed
from worker.cli.output import remark, show_json
from worker.cli.publish.event_lines import BadLine, EventLine, lines_of, opened


def check_file(file: Path, *, from_line: int, as_json: bool) -> None:
    """Report every line of *file* that the intake would refuse. Raises Failed if there is one.

    This needs neither Redis nor PostgreSQL; what depends on the ticket or the operator is not
    checked.
    """
    age_max = read_event_age_max()
    checked = 0
    bad: list[BadLine] = []
    with opened(file) as lines:
        for line in lines_of(lines, from_line=from_line):
            checked += 1
            bad_line = _check(line, age_max)
            if bad_line is not None:
                bad.append(bad_line)
                remark(f"line {bad_line.line}: {bad_line.problem}")
    if as_json:
        show_json({"checked": checked, "bad_lines": bad})
    else:
        typer.echo(f"checked {checked:,} lines; {len(bad):,} of them would be refused")
    if bad:
        raise Failed(f"{len(bad):,} lines would be refused; the first is line {bad[0].line}")


def _check(line: EventLine | BadLine, age_max: timedelta) -> BadLine | None:
    if isinstance(line, BadLine):
        return line
    problem = problem_with(line, now=datetime.now(UTC), age_max=age_max)
    return None if problem is None else BadLine(line.line, problem)


def problem_with(line: EventLine, *, now: datetime, age_max: timedelta) -> str | None:
    """Return why the intake would refuse *line* as published. Returns None if it would not."""
    try:
        ready = prepare(line.event, position=0, now=lambda: now)
    except EventUnsendable as refusal:
        return str(refusal).partition(": ")[2] or str(refusal)
    event = read(Entry(f"{int(now.timestamp() * 1000)}-0", {EVENT_FIELD: ready.line}))
    if isinstance(event, Unreadable):
        return event.message
    if why := publish_age_problem(event.order_time, now=now, age_max=age_max):
        return f"{time_name(ready.line)} {why}"
    return None
