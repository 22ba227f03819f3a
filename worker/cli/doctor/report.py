"""Prints what the doctor found: for people line by line, for programs as one document."""

import typer

from worker.cli.doctor.checks import examine
from worker.cli.doctor.finding import Finding, State
from worker.cli.errors import FAILED
from worker.cli.output import as_text, show_json

_SIGNS = {State.OK: "✓", State.DOUBTFUL: "!", State.WRONG: "✗", State.UNKNOWN: "?"}


def report(*, as_json: bool) -> None:
    """Examine, print, and end with exit code 1 if something is wrong."""
    found = []
    for one in examine():
        found.append(one)
        if not as_json:
            _show(one)
    sick = [one for one in found if one.state is State.WRONG]
    if as_json:
        show_json({"healthy": not sick, "findings": found})
    else:
        typer.echo(f"{len(sick)} wrong" if sick else "nothing is wrong")
    if sick:
        raise typer.Exit(FAILED)


def _show(one: Finding) -> None:
    typer.echo(f"{_SIGNS[one.state]} {as_text(f'{one.part}: {one.found}')}")
    if one.mend is not None:
        typer.echo(f"    -> {as_text(one.mend)}")
