"""Checks a file of events as the intake would read them, and publishes nothing."""

import time
from datetime import UTC, datetime
from pathlib import Path

import typer

from models.events.event import Entry, Unreadable
from models.events.reading import read
from producers.publisher import FIELD, EventUnsendable
from producers.publisher.wire import prepare
from worker.cli.errors import Failed
from worker.cli.event_lines import BadLine, Read, lines_of, opened
from worker.cli.output import remark, show_json


def check_file(file: Path, *, from_line: int, as_json: bool) -> None:
    """Tell every line of *file* that the intake would refuse. Raises Failed when there is one.

    It needs neither Redis nor PostgreSQL; what only the ticket and the operator can say is not
    checked.
    """
    checked = 0
    bad: list[BadLine] = []
    with opened(file) as lines:
        for line in lines_of(lines, from_line=from_line):
            checked += 1
            wrong = line if isinstance(line, BadLine) else _wrong_with(line)
            if wrong is not None:
                bad.append(wrong)
                remark(f"line {wrong.line}: {wrong.problem}")
    if as_json:
        show_json({"checked": checked, "bad_lines": bad})
    else:
        typer.echo(f"checked {checked:,} lines; {len(bad):,} of them would be refused")
    if bad:
        raise Failed(f"{len(bad):,} lines would be refused; the first is line {bad[0].line}")


def _wrong_with(line: Read) -> BadLine | None:
    try:
        ready = prepare(line.event, position=0, now=lambda: datetime.now(UTC))
    except EventUnsendable as refusal:
        return BadLine(line.line, str(refusal).partition(": ")[2] or str(refusal))
    entry = Entry(f"{int(time.time() * 1000)}-0", {FIELD.encode(): ready.line})
    found = read(entry)
    return BadLine(line.line, found.message) if isinstance(found, Unreadable) else None
