"""`slipway migrate`: the schema."""

import typer

EXAMPLE = "Example: SLIPWAY_DATABASE_URL=postgresql://user:password@host/slipway slipway migrate"


def migrate() -> None:
    """Create or upgrade the schema of the database. Does nothing when it is up to date."""
    from models.migrate import upgrade  # noqa: PLC0415 - `--help` needs no Alembic
    from models.settings import read_settings  # noqa: PLC0415 - nor the settings

    upgrade(read_settings().database_url)
    typer.echo("the schema is up to date")
