"""`slipway events`: what became of events that need a person."""

from datetime import timedelta
from typing import Annotated

import typer

from worker.cli.options import AsJson, OneOperator, duration

app = typer.Typer(help="Events that need a person.", no_args_is_help=True)
rejected = typer.Typer(help="Events that were refused, each with its reason.", no_args_is_help=True)
app.add_typer(rejected, name="rejected")
_LIMIT_MAX = 10_000


@rejected.command("list", epilog="Example: slipway events rejected list --operator acme --since 1h")
def show_list(
    *,
    operator: OneOperator = None,
    reason: Annotated[
        str | None, typer.Option(metavar="WORD", help="Only this reason, like unknown_operator.")
    ] = None,
    since: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration, metavar="DURATION", help="Only the last 1h.", show_default="all"
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=_LIMIT_MAX, help="At most so many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List rejected events, newest first, with those that could not even be read."""
    from worker.cli.rejected_list import show_rejected  # noqa: PLC0415 - as worker.cli says

    show_rejected(operator=operator, reason=reason, since=since, limit=limit, as_json=as_json)
