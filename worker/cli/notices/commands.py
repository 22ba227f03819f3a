"""`slipway notices`: what a partner would not take, and the ways out (protocol.md, rule 18)."""

from collections.abc import Sequence
from typing import Annotated

import typer

from worker.cli.help_pages import FullSentences
from worker.cli.options import NO_REASON, AsJson, By, OneOperator, Why, person_name
from worker.cli.triage.options import (
    After,
    Choice,
    Limit,
    NeededWhy,
    NoticeId,
    NoticeIds,
    NoticeReason,
    OlderThan,
    OneTicket,
    Since,
    Teller,
    Yes,
)

app = typer.Typer(cls=FullSentences, help="Notices that need a person.", no_args_is_help=True)
dead = typer.Typer(
    cls=FullSentences,
    help="Notices the partner does not take. Each holds up those of its ticket behind it.",
    no_args_is_help=True,
)
app.add_typer(dead, name="dead")
owed = typer.Typer(
    cls=FullSentences,
    help="Notices that are sent again by themselves: between two tries, or on their way.",
    no_args_is_help=True,
)
app.add_typer(owed, name="owed")

Delivered = Annotated[
    bool,
    typer.Option("--delivered", help="The partner has it: it counts as delivered from now on."),
]
NotDelivered = Annotated[
    bool,
    typer.Option(
        "--not-delivered",
        help="The partner does not have it, and is never told.",
    ),
]


@owed.command("list", epilog="Example: slipway notices owed list --operator acme --older-than 15m")
def show_owed(
    *,
    operator: OneOperator = None,
    older_than: OlderThan = None,
    limit: Limit = 100,
    after: After = None,
    as_json: AsJson = False,
) -> None:
    """List what partners have not taken so far: since when, the next try, the last problem.

    The next to be tried comes first. What waits behind another notice of its ticket is not listed.
    """
    from worker.cli.triage.waiting import show_owed  # noqa: PLC0415 - as worker.cli says

    show_owed(operator, older_than, limit=limit, after=after, as_json=as_json)


@dead.command("list", epilog="Example: slipway notices dead list --operator acme --since 1h")
def show_list(
    *,
    operator: OneOperator = None,
    ticket: OneTicket = None,
    reason: NoticeReason = None,
    since: Since = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List dead notices, newest first, with what waits behind each."""
    from worker.cli.triage.lists import show_dead  # noqa: PLC0415 - as worker.cli says

    show_dead(Choice((), operator, ticket, reason, since, limit), as_json=as_json)


@dead.command("show", epilog="Example: slipway notices dead show 4711")
def show(notice_id: NoticeId, *, as_json: AsJson = False) -> None:
    """Show one dead notice: its text, every attempt, what waits behind it, the ways out."""
    from worker.cli.triage.pages import show_notice  # noqa: PLC0415 - as worker.cli says

    show_notice(notice_id, as_json=as_json)


@dead.command("retry", epilog="Example: slipway notices dead retry 4711 --why 'they mended it'")
def retry(  # noqa: PLR0913 - one parameter for each option of the command
    ids: NoticeIds = None,
    *,
    operator: OneOperator = None,
    ticket: OneTicket = None,
    reason: NoticeReason = None,
    since: Since = None,
    limit: Limit = 100,
    yes: Yes = False,
    by: By = None,
    why: Why = NO_REASON,
    as_json: AsJson = False,
) -> None:
    """Send dead notices again, from now on and as often as new ones."""
    from models.outbox.dead_letters import Resolution  # noqa: PLC0415 - as worker.cli says
    from worker.cli.notices.change import free_notices  # noqa: PLC0415 - as worker.cli says

    choice = Choice(_words(ids), operator, ticket, reason, since, limit, yes)
    free_notices(Resolution.RETRY, choice, Teller(person_name(by), why, as_json))


@dead.command(
    "skip", epilog="Example: slipway notices dead skip 4711 --delivered --why 'they showed me'"
)
def skip(  # noqa: PLR0913 - one parameter for each option of the command
    ids: NoticeIds = None,
    *,
    why: NeededWhy,
    delivered: Delivered = False,
    not_delivered: NotDelivered = False,
    operator: OneOperator = None,
    ticket: OneTicket = None,
    reason: NoticeReason = None,
    since: Since = None,
    limit: Limit = 100,
    yes: Yes = False,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Go on without dead notices: the partner has them, or does not and never gets them.

    One of the two words is needed; without one, this shows what would follow from each and asks.
    With --delivered, the closing time of a result starts now. With --not-delivered, a result takes
    its rollback along, present or future, and starts no clock. A rollback that the partner does not
    have is never skipped: what follows it would not be true.
    """
    from models.outbox.dead_letters import Resolution  # noqa: PLC0415 - as worker.cli says
    from worker.cli.notices.change import free_notices  # noqa: PLC0415 - as worker.cli says

    if delivered and not_delivered:
        raise typer.BadParameter("--delivered and --not-delivered exclude each other")
    way = None
    if delivered or not_delivered:
        way = Resolution.SKIP_DELIVERED if delivered else Resolution.SKIP_NOT_DELIVERED
    choice = Choice(_words(ids), operator, ticket, reason, since, limit, yes)
    free_notices(way, choice, Teller(person_name(by), why, as_json))


def _words(ids: Sequence[int] | None) -> tuple[str, ...]:
    return tuple(map(str, ids or ()))
