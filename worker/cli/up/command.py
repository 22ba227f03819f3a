"""`slipway up`: every process, under one supervisor."""

from pathlib import Path
from typing import Annotated

import typer

from worker.cli.help_pages import one_command
from worker.cli.up import runner

app = one_command()


@app.command(epilog="Example: slipway up --data ./slipway-data    (nothing installed, data kept)")
def up(
    *,
    embedded: Annotated[
        bool,
        typer.Option("--embedded", help="Start a PostgreSQL and a Valkey for this run."),
    ] = False,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Like --embedded, with the data kept in DIR.")
    ] = None,
) -> None:
    """Run every process of the Procfile until Ctrl-C or SIGTERM: `release` first, then the rest.

    A process that exits is restarted: at once, then with pauses up to 5 s. A second Ctrl-C does not
    wait for work in progress.
    """
    runner.run_everything(embedded=embedded, data=data)
