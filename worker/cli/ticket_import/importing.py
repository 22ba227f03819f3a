"""Imports tickets in flight from a file, a group in a transaction."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

import typer

from models.events.refusal import Refusal
from models.operators.interventions import Person
from models.platform.clock import DatabaseClock
from models.settings.settings import read_settings
from models.ticket_import.insert import import_tickets
from models.ticket_import.ticket_line import ImportedTicket, read_line
from worker.cli.database import transaction
from worker.cli.errors import Failed
from worker.cli.output import remark, show_json
from worker.cli.publish.event_lines import BadLine, lines_of, opened

GROUP_TICKETS: Final = 500  # the locks of one transaction


@dataclass(slots=True)
class _ImportTotals:
    imported: int = 0
    known: int = 0
    bad: list[BadLine] = field(default_factory=list)

    def refuse(self, line: int, problem: str) -> None:
        self.bad.append(BadLine(line, problem))
        remark(f"line {line}: {problem}")


def import_file(file: Path, *, who: str, why: str, as_json: bool) -> None:
    """Import *file* (`-`: stdin). Raises Failed when lines were left out."""
    window = read_settings().parking_window
    tally = _ImportTotals()
    with opened(file) as lines:
        for group in _groups(lines, tally):
            with transaction() as connection:
                brought = import_tickets(
                    connection,
                    [ticket for _, ticket in group],
                    person=Person(who, why),
                    now=DatabaseClock().now(connection),
                    parking_window=window,
                )
            tally.imported += brought.imported
            tally.known += brought.known
            for place, problem in brought.refused.items():
                tally.refuse(group[place][0], problem)
    bad = sorted(tally.bad, key=lambda one: one.line)
    if as_json:
        show_json({"imported": tally.imported, "known": tally.known, "bad_lines": bad})
    else:
        typer.echo(f"imported {tally.imported:,} tickets; {tally.known:,} were known before")
    if bad:
        raise Failed(
            f"{len(bad):,} lines were left out; the first is line {bad[0].line}. Mend them and"
            " import the file again: what is known is left alone"
        )


def _groups(lines: BinaryIO, tally: _ImportTotals) -> Iterator[list[tuple[int, ImportedTicket]]]:
    """Groups of tickets with their lines."""
    group: list[tuple[int, ImportedTicket]] = []
    for line in lines_of(lines):
        if isinstance(line, BadLine):
            tally.refuse(line.line, line.problem)
            continue
        try:
            group.append((line.line, read_line(line.event)))
        except Refusal as refusal:
            tally.refuse(line.line, str(refusal))
        if len(group) == GROUP_TICKETS:
            yield group
            group = []
    if group:
        yield group
