"""`slipway tickets`: which tickets of a partner have not ended."""

from enum import StrEnum
from typing import Annotated

import typer

from worker.cli.help_pages import FullSentences
from worker.cli.options import AsJson
from worker.cli.triage.options import After, Limit, OlderThan

app = typer.Typer(cls=FullSentences, help="A partner's tickets.", no_args_is_help=True)


class UnendedStatus(StrEnum):
    """Where a ticket stands that has not ended."""

    NEW = "new"
    RESERVED = "reserved"
    OPEN = "open"
    RESULTED = "resulted"


@app.callback()
def tickets() -> None:
    """List a partner's tickets; one ticket's story: slipway ticket ID."""


@app.command("list", epilog="Example: slipway tickets list --operator acme --status open")
def show_list(
    *,
    operator: Annotated[str, typer.Option("--operator", metavar="CODE", help="Whose tickets.")],
    status: Annotated[
        list[UnendedStatus] | None,
        typer.Option("--status", help="Only with this status; may be repeated."),
    ] = None,
    older_than: OlderThan = None,
    limit: Limit = 100,
    after: After = None,
    as_json: AsJson = False,
) -> None:
    """List a partner's tickets that are neither closed nor cancelled, oldest first."""
    from models.triage import UNENDED  # noqa: PLC0415 - as worker.cli says
    from models.vocabulary import Status  # noqa: PLC0415 - as worker.cli says
    from worker.cli.triage.waiting import show_tickets  # noqa: PLC0415 - as worker.cli says

    statuses = [Status(one.value) for one in status or ()] or UNENDED
    show_tickets(operator, statuses, older_than, limit=limit, after=after, as_json=as_json)
