"""`slipway events`: events that need a person, and their resolutions."""

from typing import Annotated

import typer

from models.vocabulary import Outcome
from worker.cli.events import in_background, pages, resolve
from worker.cli.help_pages import command_group
from worker.cli.option_groups import with_option_groups
from worker.cli.options import AsJson, OneOperator
from worker.cli.triage.options import (
    BackgroundOptions,
    ChangeOptions,
    EventSelectionOptions,
    ExplainedChangeOptions,
    OneTicket,
)

app = command_group("Events that need a person.")
_GROUPS = {
    Outcome.PARKED: "Events that wait for an earlier one.",
    Outcome.REJECTED: "Events that were refused, each with its reason, and input that could not be"
    " read.",
    Outcome.SUPERSEDED: "Events older than their ticket's current result: perhaps true ones from a"
    " slow clock.",
}
AsNow = Annotated[
    bool,
    typer.Option(
        "--as-now",
        help="Decide it as if it happened now: for a true event from a slow clock.",
    ),
]
EventId = Annotated[
    str, typer.Argument(metavar="ID", help="The event's id; of raw input, its entry's.")
]
EventIds = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ID]...", help="The events' ids; without any: all that match the options."
    ),
]


def _add_list(group: typer.Typer, outcome: Outcome) -> None:
    raw = ", including raw input that could not be read" if outcome is Outcome.REJECTED else ""

    @group.command(
        "list",
        epilog=f"Example: slipway events {outcome} list --operator acme --since 1h",
        help=f"List {outcome} events, newest first{raw}.",
    )
    @with_option_groups
    def list_events(*, selection: EventSelectionOptions, as_json: AsJson = False) -> None:
        pages.show_events(outcome, selection, as_json=as_json)


def _add_show(group: typer.Typer, outcome: Outcome) -> None:
    @group.command(
        "show",
        epilog=f"Example: slipway events {outcome} show 7f3a --operator acme",
        help=f"Show everything that is known of one {outcome} event.",
    )
    def show(
        event_id: EventId,
        *,
        operator: OneOperator = None,
        ticket: OneTicket = None,
        as_json: AsJson = False,
    ) -> None:
        pages.show_event(outcome, event_id, operator=operator, ticket=ticket, as_json=as_json)


def _add_retry_of_parked(group: typer.Typer) -> None:
    @group.command("retry", epilog="Example: slipway events parked retry 7f3a --why 'as agreed'")
    @with_option_groups
    def retry(
        ids: EventIds = None,
        *,
        selection: EventSelectionOptions,
        background: BackgroundOptions,
        change: ChangeOptions,
    ) -> None:
        """Decide parked events now. Those that still have to wait stay parked: exit code 1."""
        background.check()
        if background.background:
            in_background.retry(Outcome.PARKED, ids or [], selection, background, change)
        else:
            resolve.retry_events(Outcome.PARKED, ids or [], selection, change, as_now=False)


def _add_retry(group: typer.Typer, outcome: Outcome) -> None:
    how = "--as-now --why 'their clock was slow'"
    if outcome is Outcome.REJECTED:
        how = "--why 'the operator exists now'"

    @group.command(
        "retry",
        epilog=f"Example: slipway events {outcome} retry 7f3a {how}",
        help=(
            f"Process {outcome} events again, as if they had just arrived. One that has to wait"
            " then waits for a whole parking window. Exit code 1 unless all of them got through."
        ),
    )
    @with_option_groups
    def retry(
        ids: EventIds = None,
        *,
        as_now: AsNow = False,
        selection: EventSelectionOptions,
        background: BackgroundOptions,
        change: ChangeOptions,
    ) -> None:
        background.check()
        if background.background:
            in_background.retry(outcome, ids or [], selection, background, change, as_now=as_now)
        else:
            resolve.retry_events(outcome, ids or [], selection, change, as_now=as_now)


def _add_drop(group: typer.Typer, outcome: Outcome) -> None:
    end = "They end as rejected" if outcome is Outcome.PARKED else "They leave the list"

    @group.command(
        "drop",
        epilog=f"Example: slipway events {outcome} drop 7f3a --why 'a test of the backend'",
        help=f"Drop {outcome} events. {end}, and stay in the log and in their tickets' histories.",
    )
    @with_option_groups
    def drop(
        ids: EventIds = None,
        *,
        selection: EventSelectionOptions,
        background: BackgroundOptions,
        change: ExplainedChangeOptions,
    ) -> None:
        background.check()
        if background.background:
            in_background.drop(outcome, ids or [], selection, background, change)
        else:
            resolve.drop_events(outcome, ids or [], selection, change)


for _outcome, _help in _GROUPS.items():
    _group = command_group(_help)
    _add_list(_group, _outcome)
    _add_show(_group, _outcome)
    if _outcome is Outcome.PARKED:
        _add_retry_of_parked(_group)
    else:
        _add_retry(_group, _outcome)
    _add_drop(_group, _outcome)
    app.add_typer(_group, name=_outcome.value)
