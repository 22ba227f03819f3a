"""`slipway lifecycle`: the state machine, from its definition."""

from enum import StrEnum
from typing import Annotated

import typer

EXAMPLE = "Example: slipway lifecycle --format mermaid"


class Format(StrEnum):
    """How the state machine is written."""

    MARKDOWN = "md"
    MERMAID = "mermaid"
    JSON = "json"


def lifecycle(
    *,
    form: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.MARKDOWN,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Print the ticket's states and what moves it from one to the next."""
    from worker.cli.lifecycle_pages import page  # noqa: PLC0415 - as worker.cli says

    typer.echo(page("json" if as_json else form.value))
