"""`slipway publish`: events from a file onto the stream."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from worker.cli.help_pages import one_command
from worker.cli.options import AsJson, duration, per_second
from worker.cli.publish import run, validation

app = one_command()


@app.command(epilog="Example: slipway publish events.ndjson    or: my-export | slipway publish -")
def publish(
    file: Annotated[
        Path, typer.Argument(metavar="FILE|-", help="One event a line, as JSON; - reads stdin.")
    ],
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Tell what the intake would refuse; publish nothing.")
    ] = False,
    from_line: Annotated[
        int, typer.Option(min=1, metavar="N", help="Go on from this line, as after a break.")
    ] = 1,
    rate: Annotated[
        float | None,
        typer.Option(
            parser=per_second, metavar="RATE", help="Most events: 500/s.", show_default="no limit"
        ),
    ] = None,
    wait: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="Tell what became of them; give up when nothing is applied for so long.",
        ),
    ] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Report a bad line and go on with the next.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put the events of FILE onto the stream, in their order.

    A line that cannot be an event ends the command with exit code 1: the lines before it are on
    the stream, it and the rest are not. With --keep-going all good lines are published. Lines
    that carry their own event_id can be published again; they count once.
    """
    if check:
        validation.check_file(file, from_line=from_line, as_json=as_json)
        return

    way = run.PublishOptions(
        from_line, keep_going=keep_going, rate=rate, wait=wait, as_json=as_json
    )
    run.publish_file(file, way)
