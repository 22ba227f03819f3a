"""`slipway operators apply` and `export`: partners kept as code."""

from pathlib import Path
from typing import Annotated

import typer

from worker.cli.options import NO_REASON, AsJson, By, Why, person_name

APPLY_EXAMPLE = "Example: slipway operators apply -f operators.yaml --dry-run"
EXPORT_EXAMPLE = "Example: slipway operators export -f operators.yaml --secrets ./secrets"


def apply(
    *,
    file: Annotated[Path, typer.Option("-f", "--file", help="The operators as they shall be.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be different.")
    ] = False,
    by: By = None,
    why: Why = NO_REASON,
    as_json: AsJson = False,
) -> None:
    """Make the operators what a file says: all of it, or nothing. The same file again does nothing.

    Operators that are not in the file stay as they are. Secrets stand in files of their own, named
    relative to this one; an operator's secret is exchanged with rotate-secret alone.
    """
    from worker.cli.operators.apply import apply_file  # noqa: PLC0415 - as worker.cli says

    apply_file(file, dry_run=dry_run, who=person_name(by), why=why, as_json=as_json)


def export(
    *,
    file: Annotated[
        Path | None, typer.Option("-f", "--file", help="Where to.", show_default="printed")
    ] = None,
    secrets: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write each secret into a file of its own, in clear."),
    ] = None,
) -> None:
    """Write the operators as a file that `apply` takes; secrets only when asked for."""
    from worker.cli.operators.export import export_file  # noqa: PLC0415 - as worker.cli says

    export_file(file, secrets=secrets)
