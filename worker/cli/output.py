"""What commands print: JSON for programs, tables for people, remarks on stderr."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime

import typer
from rich.console import Console, RenderableType
from rich.table import Table

from models.platform.json_values import as_json_value
from models.platform.timestamps import format_timestamp

_WIDTH_WITHOUT_TERMINAL = 200  # in a file or a pipe, lines are not cut at 80 columns


def show_json(value: object) -> None:
    """Print *value* as one JSON document: dataclasses as objects, times in RFC 3339 and UTC."""
    typer.echo(json.dumps(as_json_value(value), ensure_ascii=False, indent=2))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table for people; a cell is text, never markup."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(as_text(cell) for cell in row))
    show(table)


def show(picture: RenderableType) -> None:
    """Print *picture*, without trailing spaces."""
    screen = console()
    with screen.capture() as drawn:
        screen.print(picture)
    for line in drawn.get().splitlines():
        typer.echo(line.rstrip())


def console(*, stderr: bool = False) -> Console:
    """Return a console for people; it has colours only on a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _WIDTH_WITHOUT_TERMINAL
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False, width=width)


def remark(sentence: str) -> None:
    """Print a remark to stderr, beside the result."""
    typer.echo(f"slipway: {sentence}", err=True)


def as_text(cell: str) -> str:
    """Replace control characters: what others write must not control a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in cell)


def bounded(content: str, length_max: int = 200) -> str:
    """Return foreign text on one line of at most *length_max* characters."""
    line = " ".join(content[: 4 * length_max].split())
    return line if len(line) <= length_max else f"{line[:length_max]}…"


def moment(at: datetime | None) -> str:
    """Format a time for people, to the second: `2026-11-20T10:00:00Z`; None is a dash."""
    return "-" if at is None else format_timestamp(at, "seconds")
