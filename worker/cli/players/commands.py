"""`slipway players`: erase what identifies a player, and see how far that is (rule 25)."""

from typing import Annotated

import typer

from worker.cli.help_pages import command_group
from worker.cli.option_groups import with_option_groups
from worker.cli.options import AsJson, OneOperator
from worker.cli.players import erasing
from worker.cli.triage.options import ExplainedChangeOptions, Limit

app = command_group("Erase what identifies a player.")
erasures = command_group("Erasures of players: what was blanked, and what still waits.")
app.add_typer(erasures, name="erasures")

Operator = Annotated[str, typer.Option("--operator", metavar="CODE", help="Whose player.")]


@app.callback()
def players() -> None:
    """Erase what identifies a player; to find a player's tickets: slipway tickets find."""


@app.command(
    "erase",
    epilog="Example: slipway players erase 4711 --operator acme --why 'request 2026-118'",
)
@with_option_groups
def erase(
    player: Annotated[str, typer.Argument(metavar="ID", help="The player's id.")],
    *,
    operator: Operator,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count the tickets that name the player.")
    ] = False,
    change: ExplainedChangeOptions,
) -> None:
    """Erase a player from everything that is stored; it cannot be undone.

    Tickets that have ended are blanked within seconds, the rest of the database is searched by a
    job, and what an open ticket still needs is blanked when it ends. Money, states, and the ids of
    tickets and events stay. New tickets of the player, what is still on the stream, logs and
    backups are not covered.
    """
    erasing.erase(player, operator=operator, dry_run=dry_run, change=change)


@erasures.command("list", epilog="Example: slipway players erasures list --operator acme")
def list_erasures(
    *,
    operator: OneOperator = None,
    player: Annotated[
        str | None,
        typer.Option(
            "--player",
            metavar="ID",
            help="Only this player's; needs --operator.",
        ),
    ] = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List erasures, newest first. None of them names its player; --player recognises one."""
    erasing.show_erasures(operator=operator, player=player, limit=limit, as_json=as_json)


@erasures.command("show", epilog="Example: slipway players erasures show 7")
def show(
    erasure: Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="As listed.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show one erasure: what was blanked by place, and the tickets that must end first."""
    erasing.show_erasure(erasure, as_json=as_json)
