"""Imports running tickets from a file, a group in each transaction."""

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
from models.vocabulary import Reason
from worker.cli.database import transaction
from worker.cli.errors import Failed
from worker.cli.output import remark, show_json
from worker.cli.publish.event_lines import BadLine, lines_of, opened

GROUP_TICKETS: Final = 500  # locked in one transaction


@dataclass(slots=True)
class _ImportTotals:
    imported: int = 0
    known: int = 0
    bad: list[BadLine] = field(default_factory=list)

    def refuse(self, line: int, problem: str) -> None:
        self.bad.append(BadLine(line, problem))
        remark(f"line {line}: {problem}")


def import_file(file: Path, *, who: str, why: str, as_json: bool) -> None:
    """Import *file* (`-`: stdin). Raises Failed if lines were left out."""
    window = read_settings().parking_window
    totals = _ImportTotals()
    with opened(file) as lines:
        for group in _groups(lines, totals):
            with transaction() as connection:
                result = import_tickets(
                    connection,
                    [ticket for _, ticket in group],
                    person=Person(who, why),
                    now=DatabaseClock().now(connection),
                    parking_window=window,
                )
            totals.imported += result.imported
            totals.known += result.known
            for place, refusal in result.refused.items():
                line, _ = group[place]
                totals.refuse(line, _with_advice(refusal))
    bad = sorted(totals.bad, key=lambda bad_line: bad_line.line)
    if as_json:
        show_json({"imported": totals.imported, "known": totals.known, "bad_lines": bad})
    else:
        typer.echo(f"imported {totals.imported:,} tickets; {totals.known:,} were already known")
    if bad:
        raise Failed(
            f"{len(bad):,} lines were left out; the first is line {bad[0].line}. Fix them and"
            " import the file again: known tickets are left unchanged"
        )


def _groups(lines: BinaryIO, totals: _ImportTotals) -> Iterator[list[tuple[int, ImportedTicket]]]:
    """Yield groups of tickets with their line numbers."""
    group: list[tuple[int, ImportedTicket]] = []
    for line in lines_of(lines):
        if isinstance(line, BadLine):
            totals.refuse(line.line, line.problem)
            continue
        try:
            group.append((line.line, read_line(line.event)))
        except Refusal as refusal:
            totals.refuse(line.line, str(refusal))
        if len(group) == GROUP_TICKETS:
            yield group
            group = []
    if group:
        yield group


def _with_advice(refusal: Refusal) -> str:
    if refusal.reason is Reason.UNKNOWN_OPERATOR:
        return f"{refusal}; add it with `slipway operators add`"
    return str(refusal)
