"""The words that the ways out have in common. Loads nothing that only commands need."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Final

import typer

from worker.cli.errors import WrongUsage
from worker.cli.options import duration

LIMIT_MAX: Final = 10_000


def _said(why: str) -> str:
    if not why.strip():
        raise typer.BadParameter("say why: it is what others will read in the ticket's story")
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
    typer.Option("--reason", metavar="TEXT", help="Only where the reason holds this text."),
]
Since = Annotated[
    timedelta | None,
    typer.Option(parser=duration, metavar="DURATION", help="Only the last 1h.", show_default="all"),
]
OlderThan = Annotated[
    timedelta | None,
    typer.Option(
        parser=duration, metavar="DURATION", help="Only what is older, like 1h.", show_default="all"
    ),
]
After = Annotated[
    str | None,
    typer.Option(metavar="PLACE", help="Where the page before ended.", show_default="the start"),
]
Limit = Annotated[int, typer.Option(min=1, max=LIMIT_MAX, help="Maximum number of rows.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before it is done.")]
NeededWhy = Annotated[
    str,
    typer.Option("--why", metavar="TEXT", callback=_said, help="The reason; kept with the change."),
]
AsNow = Annotated[
    bool,
    typer.Option(
        "--as-now",
        help="Decide it as if it happened now: for a true statement from a slow clock.",
    ),
]
EventId = Annotated[
    str, typer.Argument(metavar="ID", help="The event's id; of raw input, its entry's.")
]
EventIds = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ID]...", help="The events' ids; without any: all that fit the options."
    ),
]
NoticeId = Annotated[int, typer.Argument(metavar="ID", min=1, help="The notice's id, as listed.")]
NoticeIds = Annotated[
    list[int] | None,
    typer.Argument(
        metavar="[ID]...", help="The notices' ids, as listed; without any: all that fit."
    ),
]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a command is about: what is named by its id, or all that fits the rest."""

    ids: tuple[str, ...] = ()
    operator: str | None = None
    ticket: str | None = None
    reason: str | None = None
    since: timedelta | None = None
    limit: int = 100
    yes: bool = False

    def check(self) -> None:
        """Raise WrongUsage where it is said twice or not at all what to change."""
        alone = self.reason is not None or self.since is not None
        if self.ids and alone:
            raise WrongUsage("--reason and --since choose by themselves: leave the ids out")
        if not self.ids and not (alone or self.operator or self.ticket):
            raise WrongUsage(
                "say which: by id, or all of an --operator, a --ticket, a --reason, or --since"
            )


@dataclass(frozen=True, slots=True)
class Teller:
    """Who changes something, why, and how the answer is to look."""

    who: str
    why: str
    as_json: bool
