"""Prints the lists and pages of the triage commands."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import typer
from sqlalchemy import Connection

from models.platform.json_values import as_json_value
from models.triage import InvalidPlace, Page
from worker.cli.errors import WrongUsage
from worker.cli.output import as_text, remark, show_json, show_table
from worker.cli.triage.session import open_session

T = TypeVar("T")
_TEXT_SHOWN_MAX = 4000  # characters; `--json` prints all of them


def show_list(
    noun: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, limit: int
) -> None:
    """Print *rows* as a table, and a remark if the limit may have cut it."""
    if not rows:
        remark(f"no {noun}")
        return
    show_table(columns, rows)
    if len(rows) == limit:
        remark(f"these are the newest {limit}; there may be more (--limit)")


def read_page(read: Callable[[Connection, datetime], Page[T]]) -> tuple[Page[T], datetime]:
    """Read a page in a transaction; return it and the time. Raises WrongUsage for a bad place."""
    with open_session() as session:
        try:
            return session.run(lambda connection, now: (read(connection, now), now))
        except InvalidPlace as error:
            raise WrongUsage(f"--after: {error}") from None


def show_page(
    noun: str,
    page: Page[T],
    columns: Sequence[str],
    row: Callable[[T], Sequence[str]],
    *,
    if_empty: str,
    as_json: bool,
) -> None:
    """Print a page of a list, and how to go on to the next one."""
    if as_json:
        show_json({noun: page.lines, "next": page.next})
        return
    if not page.lines:
        remark(if_empty)
        return
    show_table(columns, map(row, page.lines))
    if page.next is not None:
        remark(f"there are more: --after {page.next}")


def show_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print names and values, one pair per line."""
    for name, value in facts:
        typer.echo(f"{name + ':':<19}{as_text(value)}")


def show_text(name: str, text: str) -> None:
    """Print a text that outsiders wrote, line by line and without terminal control characters."""
    typer.echo(f"{name}:")
    for line in text[:_TEXT_SHOWN_MAX].splitlines():
        typer.echo(f"  {as_text(line)}")
    if len(text) > _TEXT_SHOWN_MAX:
        typer.echo(f"  … ({len(text) - _TEXT_SHOWN_MAX:,} more characters; --json has them)")


def as_object(value: object) -> dict[str, object]:
    """Return a dataclass as a JSON object."""
    document = as_json_value(value)
    assert isinstance(document, Mapping), "a dataclass becomes an object"
    return {str(name): inner for name, inner in document.items()}


def counted(actions: Iterable[str], noun: str) -> str:
    """Return `3 parked events (2 ticket_win, 1 ticket_rollback)`."""
    counts = Counter(actions)
    total = sum(counts.values())
    named = ", ".join(f"{count:,} {action}" for action, count in sorted(counts.items()))
    return f"{total:,} {noun}{'' if total == 1 else 's'} ({named})"
