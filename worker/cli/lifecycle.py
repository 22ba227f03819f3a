"""`slipway lifecycle`: the state machine, from its definition."""

import json
from enum import StrEnum
from typing import Annotated

import typer

from models.lifecycle.machine import DEFINED
from models.lifecycle.pages import diagram, state_table
from worker.cli.help_pages import one_command

app = one_command()


class PageFormat(StrEnum):
    """How the state machine is written."""

    MARKDOWN = "md"
    MERMAID = "mermaid"
    JSON = "json"


@app.command(epilog="Example: slipway lifecycle --format mermaid")
def lifecycle(
    *,
    form: Annotated[
        PageFormat, typer.Option("--format", help="Output format.")
    ] = PageFormat.MARKDOWN,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Print the ticket's states and what moves it from one to the next."""
    match PageFormat.JSON if as_json else form:
        case PageFormat.MERMAID:
            page = diagram()
        case PageFormat.JSON:
            page = _transitions()
        case _:
            page = state_table()
    typer.echo(page)


def _transitions() -> str:
    transitions = [
        {"from": source.value, "action": trigger.value, "to": target.value}
        for source, trigger, target in DEFINED
    ]
    return json.dumps(transitions, indent=2)
