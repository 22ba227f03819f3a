"""`slipway demo`: what Slipway is for, with nothing installed."""

from datetime import timedelta
from typing import Annotated

import typer

from worker.cli.demo import run
from worker.cli.help_pages import one_command
from worker.cli.options import AsJson, duration

_TICKETS_MAX = 20_000
_DELAY_MIN, _DELAY_MAX = timedelta(seconds=1), timedelta(hours=1)


app = one_command()


@app.command(epilog="Example: slipway demo    or: slipway demo --tickets 500 --seed 7 --json")
def demo(
    *,
    tickets: Annotated[int, typer.Option(min=1, max=_TICKETS_MAX, help="Number of tickets.")] = 240,
    seed: Annotated[int, typer.Option(help="The same seed produces the same tickets.")] = 1,
    close_delay: Annotated[
        timedelta,
        typer.Option(parser=duration, metavar="DURATION", help="Close delay, instead of 24 h."),
    ] = "10s",  # type: ignore[assignment]  # Typer passes a default's text to the parser
    over: Annotated[
        timedelta,
        typer.Option(
            parser=duration, metavar="DURATION", help="Time within which the tickets begin."
        ),
    ] = "15s",  # type: ignore[assignment]  # as above
    as_json: AsJson = False,
) -> None:
    """Watch tickets live: real servers, all processes, simulated backends and partners.

    Takes about a minute and ends with a verdict, computed from what was published, what the
    partners received and what is in the database. Exit code 0 only if everything is right. Nothing
    is installed, and nothing is left behind.
    """
    if not _DELAY_MIN <= close_delay <= _DELAY_MAX:
        raise typer.BadParameter("--close-delay must be from 1s to 1h")

    run.run_demo(
        run.DemoOptions(tickets=tickets, seed=seed, close_delay=close_delay, over=over),
        as_json=as_json,
    )
