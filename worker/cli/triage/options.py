"""Options that the triage commands share. Imports nothing that only a running command needs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Final

import typer

from worker.cli.errors import WrongUsage
from worker.cli.options import NO_REASON, AsJson, By, OneOperator, Why, duration, person_name

LIMIT_MAX: Final = 10_000


def _required(why: str) -> str:
    if not why.strip():
        raise typer.BadParameter("give a reason: others will read it in the ticket's history")
    return why


OneTicket = Annotated[
    str | None, typer.Option("--ticket", metavar="ID", help="Only this ticket's.")
]
EventReason = Annotated[
    str | None,
    typer.Option("--reason", metavar="WORD", help="Only this reason, like ticket_closed."),
]
NoticeReason = Annotated[
    str | None,
    typer.Option("--reason", metavar="TEXT", help="Only where the reason contains this text."),
]
Since = Annotated[
    timedelta | None,
    typer.Option(
        parser=duration,
        metavar="DURATION",
        help="Only the last period, like 1h.",
        show_default="all",
    ),
]
OlderThan = Annotated[
    timedelta | None,
    typer.Option(
        parser=duration, metavar="DURATION", help="Only what is older, like 1h.", show_default="all"
    ),
]
After = Annotated[
    str | None,
    typer.Option(metavar="PLACE", help="Where the previous page ended.", show_default="the start"),
]
Limit = Annotated[int, typer.Option(min=1, max=LIMIT_MAX, help="Maximum number of rows.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
RequiredWhy = Annotated[
    str,
    typer.Option(
        "--why", metavar="TEXT", callback=_required, help="The reason; kept with the change."
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionOptions:
    """Options that select what a command lists or changes: all that matches every one given."""

    operator: OneOperator = None
    ticket: OneTicket = None
    reason: str | None = None
    since: Since = None
    limit: Limit = 100

    def check(self, ids: Sequence[object]) -> None:
        """Raise WrongUsage unless it is clear what a change applies to: *ids*, or a selection."""
        selects_alone = self.reason is not None or self.since is not None
        if ids and selects_alone:
            raise WrongUsage("--reason and --since cannot be combined with ids")
        if not ids and not (selects_alone or self.operator or self.ticket):
            raise WrongUsage(
                "select what to change: ids, or all of an --operator, a --ticket, a --reason, or"
                " --since"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSelectionOptions(SelectionOptions):
    """Options that select events."""

    reason: EventReason = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeSelectionOptions(SelectionOptions):
    """Options that select dead notices."""

    reason: NoticeReason = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageOptions:
    """Options of a list that is read page by page, oldest first."""

    older_than: OlderThan = None
    limit: Limit = 100
    after: After = None
    as_json: AsJson = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeOptions:
    """Options of a command that changes something."""

    yes: Yes = False
    by: By = None
    why: Why = NO_REASON
    as_json: AsJson = False

    @property
    def who(self) -> str:
        """The name of the person who makes the change."""
        return person_name(self.by)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedChangeOptions(ChangeOptions):
    """Options of a change that cannot be undone, so its reason is required."""

    why: RequiredWhy = field()
