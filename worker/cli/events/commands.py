"""`slipway events`: what became of events that need a person, and the ways out."""

from collections.abc import Sequence

import typer

from models.vocabulary import Outcome
from worker.cli.help_pages import FullSentences
from worker.cli.options import NO_REASON, AsJson, By, OneOperator, Why, person_name
from worker.cli.triage.options import (
    AsNow,
    Choice,
    EventId,
    EventIds,
    EventReason,
    Limit,
    NeededWhy,
    OneTicket,
    Since,
    Teller,
    Yes,
)

app = typer.Typer(cls=FullSentences, help="Events that need a person.", no_args_is_help=True)
_GROUPS = {
    Outcome.PARKED: "Events that wait for what must come before them.",
    Outcome.REJECTED: "Events that were refused, each with its reason, and what could not be read.",
    Outcome.SUPERSEDED: "Events older than what stood: perhaps true ones from a slow clock.",
}


def _add_list(group: typer.Typer, outcome: Outcome) -> None:
    also = ", with those that could not even be read" if outcome is Outcome.REJECTED else ""

    @group.command(
        "list",
        epilog=f"Example: slipway events {outcome} list --operator acme --since 1h",
        help=f"List {outcome} events, newest first{also}.",
    )
    def show_list(
        *,
        operator: OneOperator = None,
        ticket: OneTicket = None,
        reason: EventReason = None,
        since: Since = None,
        limit: Limit = 100,
        as_json: AsJson = False,
    ) -> None:
        from worker.cli.triage.lists import show_events  # noqa: PLC0415 - as worker.cli says

        choice = Choice((), operator, ticket, reason, since, limit)
        show_events(outcome, choice, as_json=as_json)


def _add_show(group: typer.Typer, outcome: Outcome) -> None:
    @group.command(
        "show",
        epilog=f"Example: slipway events {outcome} show 7f3a --operator acme",
        help=f"Show one {outcome} event with everything that is known of it.",
    )
    def show(
        event_id: EventId,
        *,
        operator: OneOperator = None,
        ticket: OneTicket = None,
        as_json: AsJson = False,
    ) -> None:
        from worker.cli.triage.pages import show_event  # noqa: PLC0415 - as worker.cli says

        show_event(outcome, event_id, Choice((), operator, ticket), as_json=as_json)


def _add_retry_of_parked(group: typer.Typer) -> None:
    @group.command("retry", epilog="Example: slipway events parked retry 7f3a --why 'as agreed'")
    def retry(  # noqa: PLR0913 - one parameter for each option of the command
        ids: EventIds = None,
        *,
        operator: OneOperator = None,
        ticket: OneTicket = None,
        reason: EventReason = None,
        since: Since = None,
        limit: Limit = 100,
        yes: Yes = False,
        by: By = None,
        why: Why = NO_REASON,
        as_json: AsJson = False,
    ) -> None:
        """Decide parked events now. What still does not fit goes on waiting: exit code 1."""
        choice = Choice(_words(ids), operator, ticket, reason, since, limit, yes)
        _retry(Outcome.PARKED, choice, Teller(person_name(by), why, as_json), as_now=False)


def _add_retry(group: typer.Typer, outcome: Outcome) -> None:
    how = "--as-now --why 'their clock was slow'"
    if outcome is Outcome.REJECTED:
        how = "--why 'the operator is there now'"

    @group.command(
        "retry",
        epilog=f"Example: slipway events {outcome} retry 7f3a {how}",
        help=(
            f"Take {outcome} events up again, as if they had just arrived. One that has to wait"
            " then waits for a whole parking window. Exit code 1 unless all of them got through."
        ),
    )
    def retry(  # noqa: PLR0913 - one parameter for each option of the command
        ids: EventIds = None,
        *,
        as_now: AsNow = False,
        operator: OneOperator = None,
        ticket: OneTicket = None,
        reason: EventReason = None,
        since: Since = None,
        limit: Limit = 100,
        yes: Yes = False,
        by: By = None,
        why: Why = NO_REASON,
        as_json: AsJson = False,
    ) -> None:
        choice = Choice(_words(ids), operator, ticket, reason, since, limit, yes)
        _retry(outcome, choice, Teller(person_name(by), why, as_json), as_now=as_now)


def _add_drop(group: typer.Typer, outcome: Outcome) -> None:
    end = "They end as rejected" if outcome is Outcome.PARKED else "They leave the list"

    @group.command(
        "drop",
        epilog=f"Example: slipway events {outcome} drop 7f3a --why 'a test of the backend'",
        help=f"Let {outcome} events go. {end}, and stay in the log and in their tickets' stories.",
    )
    def drop(  # noqa: PLR0913 - one parameter for each option of the command
        ids: EventIds = None,
        *,
        why: NeededWhy,
        operator: OneOperator = None,
        ticket: OneTicket = None,
        reason: EventReason = None,
        since: Since = None,
        limit: Limit = 100,
        yes: Yes = False,
        by: By = None,
        as_json: AsJson = False,
    ) -> None:
        from worker.cli.events import change as event_changes  # noqa: PLC0415 - as worker.cli says

        choice = Choice(_words(ids), operator, ticket, reason, since, limit, yes)
        event_changes.drop(outcome, choice, Teller(person_name(by), why, as_json))


def _retry(outcome: Outcome, choice: Choice, teller: Teller, *, as_now: bool) -> None:
    from worker.cli.events import change as event_changes  # noqa: PLC0415 - as worker.cli says

    event_changes.retry(outcome, choice, teller, as_now=as_now)


def _words(ids: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(ids or ())


for _outcome, _help in _GROUPS.items():
    _group = typer.Typer(cls=FullSentences, help=_help, no_args_is_help=True)
    _add_list(_group, _outcome)
    _add_show(_group, _outcome)
    if _outcome is Outcome.PARKED:
        _add_retry_of_parked(_group)
    else:
        _add_retry(_group, _outcome)
    _add_drop(_group, _outcome)
    app.add_typer(_group, name=_outcome.value)
