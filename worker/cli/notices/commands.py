"""`slipway notices`: notices that a partner has not accepted, and their resolutions (rule 18)."""

from typing import Annotated

import typer

from worker.cli.help_pages import command_group
from worker.cli.notices import attempt, in_background, pages, resolve, sending
from worker.cli.option_groups import with_option_groups
from worker.cli.options import AsJson, By, OneOperator, person_name
from worker.cli.triage.options import (
    BackgroundOptions,
    ChangeOptions,
    ExplainedChangeOptions,
    NoticeSelectionOptions,
    PageOptions,
    RequiredWhy,
)

app = command_group("Notices that partners have not accepted.")
dead = command_group(
    "Dead notices: Slipway has stopped trying. Each holds up those of its ticket behind it."
)
app.add_typer(dead, name="dead")
undelivered = command_group(
    "Undelivered notices that Slipway still sends: being sent, or waiting for the next try."
)
app.add_typer(undelivered, name="undelivered")

NoticeId = Annotated[int, typer.Argument(metavar="ID", min=1, help="The notice's id, as listed.")]
NoticeIds = Annotated[
    list[int] | None,
    typer.Argument(
        metavar="[ID]...", help="The notices' ids, as listed; without any: all that match."
    ),
]
AttemptNumber = Annotated[
    int | None,
    typer.Argument(metavar="[NUMBER]", min=1, help="Which attempt, from 1; without: the last."),
]
AsCurl = Annotated[bool, typer.Option("--curl", help="Print it as a command for a shell.")]
Delivered = Annotated[
    bool,
    typer.Option("--delivered", help="The partner has it: it counts as delivered from now on."),
]
NotDelivered = Annotated[
    bool,
    typer.Option(
        "--not-delivered", help="The partner does not have it, and will never be sent it."
    ),
]


@app.command("attempt", epilog="Example: slipway notices attempt 4711    or: attempt 4711 2 --curl")
def show_attempt(
    notice_id: NoticeId,
    number: AttemptNumber = None,
    *,
    as_curl: AsCurl = False,
    as_json: AsJson = False,
) -> None:
    """Show an attempt to send a notice: the exact request, and the whole response.

    The signature is left out. `--curl` prints lines for a shell that sign the request with the
    secret in the variable SECRET, and send it once more.
    """
    attempt.show_attempt(notice_id, number, as_curl=as_curl, as_json=as_json)


@app.command(
    "send-again",
    epilog="Example: slipway notices send-again 4711 --why 'they restored a backup'",
)
def send_again(
    notice_id: NoticeId, *, by: By = None, why: RequiredWhy, as_json: AsJson = False
) -> None:
    """Send a delivered notice again, and all that followed it on its ticket, in order.

    The partner gets the same bytes under the same Idempotency-Key, freshly signed. The ticket's
    state and closing time stay as they are; create and reserve are never sent again. While
    something of the ticket is undelivered or dead, a job waits until nothing is.
    """
    sending.send_again(notice_id, who=person_name(by), why=why, as_json=as_json)


@undelivered.command(
    "list",
    epilog="Example: slipway notices undelivered list --operator acme --older-than 15m",
)
@with_option_groups
def list_undelivered(*, operator: OneOperator = None, page: PageOptions) -> None:
    """List undelivered notices: since when, the next try, the last problem.

    The next to be tried comes first. What waits behind another notice of its ticket is not listed.
    """
    pages.show_undelivered(operator, page)


@dead.command("list", epilog="Example: slipway notices dead list --operator acme --since 1h")
@with_option_groups
def list_dead(*, selection: NoticeSelectionOptions, as_json: AsJson = False) -> None:
    """List dead notices, newest first, with what waits behind each."""
    pages.show_dead(selection, as_json=as_json)


@dead.command("show", epilog="Example: slipway notices dead show 4711")
def show(notice_id: NoticeId, *, as_json: AsJson = False) -> None:
    """Show one dead notice: its body, every attempt, what waits behind it, its resolutions."""
    pages.show_notice(notice_id, as_json=as_json)


@dead.command("retry", epilog="Example: slipway notices dead retry 4711 --why 'they fixed it'")
@with_option_groups
def retry(
    ids: NoticeIds = None,
    *,
    selection: NoticeSelectionOptions,
    background: BackgroundOptions,
    change: ChangeOptions,
) -> None:
    """Send dead notices again, starting now and with a full retry schedule."""
    background.check()
    if background.background:
        in_background.retry(ids or [], selection, background, change)
    else:
        resolve.retry(ids or [], selection, change)


@dead.command(
    "skip", epilog="Example: slipway notices dead skip 4711 --delivered --why 'they showed me'"
)
@with_option_groups
def skip(
    ids: NoticeIds = None,
    *,
    delivered: Delivered = False,
    not_delivered: NotDelivered = False,
    selection: NoticeSelectionOptions,
    background: BackgroundOptions,
    change: ExplainedChangeOptions,
) -> None:
    """Skip dead notices: the partner has them, or does not and never gets them.

    One of --delivered and --not-delivered is required, but not for repeats of what was delivered;
    without one, this shows what would follow from each and asks. With --delivered, the close delay
    of a result starts now. With --not-delivered, the rollback of a result, present or future, is
    withdrawn too, and no close delay starts. A rollback that the partner does not have is never
    skipped: the notices behind it would be false.
    """
    if delivered and not_delivered:
        raise typer.BadParameter("--delivered and --not-delivered exclude each other")
    known = delivered if delivered or not_delivered else None
    background.check()
    if background.background:
        in_background.skip(ids or [], selection, background, change, delivered=known)
    else:
        resolve.skip(ids or [], selection, change, delivered=known)
