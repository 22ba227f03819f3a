"""`slipway publish`: events from a file onto the stream."""

from pathlib import Path
from typing import Annotated

import typer

from worker.cli.options import AsJson

EXAMPLE = "Example: slipway publish events.ndjson    or: my-export | slipway publish -"


def publish(
    file: Annotated[
        Path, typer.Argument(metavar="FILE|-", help="One event a line, as JSON; - reads stdin.")
    ],
    *,
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
    from worker.cli.publishing import publish_file  # noqa: PLC0415 - as worker.cli says

    publish_file(file, keep_going=keep_going, as_json=as_json)
