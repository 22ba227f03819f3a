"""Options that the triage commands share. Imports nothing that only a running command needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Final

import typer

from models.vocabulary import Action
from worker.cli.errors import WrongUsage
from worker.cli.options import (
    NO_REASON,
    AsJson,
    By,
    OneOperator,
    Why,
    duration,
    per_second,
    person_name,
)

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
OneAction = Annotated[
    Action | None,
    typer.Option("--action", metavar="WORD", help="Only this action, like ticket_win."),
]
HttpStatus = Annotated[
    int | None,
    typer.Option(
        "--status", metavar="CODE", min=100, max=599, help="Only where the last response was this."
    ),
]
Answer = Annotated[
    str | None,
    typer.Option("--answer", metavar="TEXT", help="Only where the last response contains this."),
]
Background = Annotated[
    bool,
    typer.Option(
        "--background",
        help="Start a job for all that match now, without --limit; the sweep carries it on.",
    ),
]
Pace = Annotated[
    float | None,
    typer.Option(
        "--pace",
        parser=per_second,
        metavar="RATE",
        help="With --background: at most so many, like 50/s.",
        show_default="as fast as the sweep allows",
    ),
]
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
    action: OneAction = None
    reason: str | None = None
    since: Since = None
    older_than: OlderThan = None
    limit: Limit = 100

    @property
    def narrowing(self) -> Mapping[str, object]:
        """The options that select by themselves, by name, as far as they are given."""
        options = {
            "--action": self.action,
            "--reason": self.reason,
            "--since": self.since,
            "--older-than": self.older_than,
        }
        return {name: value for name, value in options.items() if value is not None}

    def check(self, ids: Sequence[object]) -> None:
        """Raise WrongUsage unless it is clear what a change applies to: *ids*, or a selection."""
        if ids and self.narrowing:
            given = " and ".join(self.narrowing)
            raise WrongUsage(f"{given} cannot be combined with ids")
        if not ids and not (self.narrowing or self.operator or self.ticket):
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
    http_status: HttpStatus = None
    answer: Answer = None

    @property
    def narrowing(self) -> Mapping[str, object]:
        """The options that select by themselves, by name, as far as they are given."""
        options = {"--status": self.http_status, "--answer": self.answer}
        given = {name: value for name, value in options.items() if value is not None}
        return {**SelectionOptions.narrowing.__get__(self), **given}


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundOptions:
    """Options of a command that can be carried on by the sweep."""

    background: Background = False
    pace: Pace = None

    def check(self) -> None:
        """Raise WrongUsage for a pace without a job."""
        if self.pace is not None and not self.background:
            raise WrongUsage("--pace is for jobs: add --background")


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
