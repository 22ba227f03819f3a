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
        bool, typer.Option("--check", help="Only report what the intake would refuse.")
    ] = False,
    from_line: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Start at this line, e.g. after an interruption."),
    ] = 1,
    rate: Annotated[
        float | None,
        typer.Option(
            parser=per_second,
            metavar="RATE",
            help="Rate limit, e.g. 500/s.",
            show_default="no limit",
        ),
    ] = None,
    wait: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="Report the outcomes; give up if none is known for this long.",
        ),
    ] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Report bad lines and publish the others.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Publish the events of FILE to the stream, in order.

    A line that is no event ends the command with exit code 1: the lines before it are on the
    stream, it and the rest are not. With --keep-going all good lines are published. Lines that have
    an event_id can be published again; they count once.
    """
    if check:
        validation.check_file(file, from_line=from_line, as_json=as_json)
        return

    options = run.PublishOptions(
        from_line, keep_going=keep_going, rate=rate, wait=wait, as_json=as_json
    )
    run.publish_file(file, options)
