"""`slipway import`: running tickets from another system."""

from pathlib import Path
from typing import Annotated

import typer

from worker.cli.help_pages import one_command
from worker.cli.options import NO_REASON, AsJson, By, Why, person_name
from worker.cli.ticket_import import importing

app = one_command()


@app.command(
    epilog=(
        "Example: slipway import tickets.ndjson --why 'move from the old system'    A line:"
        ' {"operator":"acme","ticket_id":"7","state":"resulted","result":"won",'
        '"taken_at":"2026-11-20T10:00:00Z","data":{"ticket_code":"AB-7"}}'
    )
)
def import_tickets(
    file: Annotated[
        Path, typer.Argument(metavar="FILE|-", help="One ticket per line, as JSON; - reads stdin.")
    ],
    *,
    by: By = None,
    why: Why = NO_REASON,
    as_json: AsJson = False,
) -> None:
    """Import tickets that another system began. Their partners are sent nothing.

    The state is reserved, open or resulted. A result's close delay starts at taken_at, when the
    partner accepted it; settled_at, when it happened, orders it among further events (default:
    taken_at). Tickets that Slipway knows are left unchanged, so the same file can be imported
    again. Lines that cannot be imported are reported and left out; then the exit code is 1.
    """
    importing.import_file(file, who=person_name(by), why=why, as_json=as_json)
