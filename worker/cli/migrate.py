"""`slipway migrate`: the schema."""

from typing import Annotated

import typer

from models.migrations.lock_retry import TRIES, LockRetryPolicy
from worker.cli.errors import Failed

EXAMPLE = "Example: SLIPWAY_DATABASE_URL=postgresql://user:password@host/slipway slipway migrate"


def migrate(
    tries: Annotated[
        int,
        typer.Option(
            "--tries",
            min=1,
            metavar="N",
            help="How often a revision asks for its locks, 3 s each time, before this fails.",
        ),
    ] = TRIES,
) -> None:
    """Create or upgrade the schema of the database, while everything runs.

    Does nothing when it is up to date. A second one waits for the first. Stopped in the middle, the
    next one goes on where it ended.
    """
    from models.migrations.runner import NotMigrated, upgrade  # noqa: PLC0415 - `--help` needs no Alembic
    from models.settings.settings import read_settings  # noqa: PLC0415 - nor the settings

    try:
        upgrade(
            read_settings().database_url, tell=typer.echo, patience=LockRetryPolicy(tries=tries)
        )
    except NotMigrated as refusal:
        raise Failed(str(refusal)) from None
    typer.echo("the schema is up to date")
