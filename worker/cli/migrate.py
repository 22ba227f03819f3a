"""`slipway migrate`: the schema."""

from typing import Annotated

import typer

from models.migrations.lock_retry import TRIES
from worker.cli import schema
from worker.cli.help_pages import one_command

app = one_command()


@app.command(
    epilog="Example: SLIPWAY_DATABASE_URL=postgresql://user:password@host/slipway slipway migrate"
)
def migrate(
    tries: Annotated[
        int,
        typer.Option(
            "--tries",
            min=1,
            metavar="N",
            help="How often a revision tries to get its locks, 3 s each time, before this fails.",
        ),
    ] = TRIES,
    *,
    finalize: Annotated[
        bool,
        typer.Option(
            "--finalize",
            help="Instead: end an upgrade for which every process has been replaced. From then on"
            " events are stored smaller, as the release before cannot read them. There is no way"
            " back to it.",
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="With --finalize: do not ask for confirmation.")
    ] = False,
) -> None:
    """Create or upgrade the database schema, while everything runs.

    Does nothing if the schema is up to date. A second run waits for the first. After an
    interruption, the next run continues where it stopped. A new database needs no --finalize.
    """
    if finalize:
        schema.finalize_upgrade(yes=yes)
    else:
        schema.upgrade_schema(tries=tries)
