"""Prints notices that partners have not accepted: the dead ones, and those still being sent."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import typer

from models.history import AttemptFact
from models.outbox.dead_letters import NotPossible
from models.triage import (
    DeadNotice,
    DeadNoticeHistory,
    UndeliveredNotice,
    find_dead,
    list_dead,
    list_undelivered,
)
from models.vocabulary import Action
from worker.cli.errors import Failed
from worker.cli.output import bounded, moment, show_json, show_table
from worker.cli.triage.display import (
    as_object,
    read_page,
    show_facts,
    show_list,
    show_page,
    show_text,
)
from worker.cli.triage.options import PageOptions, SelectionOptions
from worker.cli.triage.session import open_session, selection_at, time_before

# Characters of a partner's response that are shown; `--json` prints all that is stored.
_IN_A_LIST_MAX = 80
_LAST_PROBLEM_MAX = 120
_IN_AN_ATTEMPT_MAX = 500


def show_dead(selection: SelectionOptions, *, as_json: bool) -> None:
    """Print the newest dead notices that match."""
    with open_session() as session:
        notices = session.run(
            lambda connection, now: list_dead(
                connection, selection_at(selection, now), limit=selection.limit
            )
        )
    if as_json:
        show_json(notices)
        return
    columns = (
        *("id", "dead since", "operator", "ticket", "notice", "generation", "delivered"),
        *("behind it", "last response", "reason"),
    )
    show_list("dead notices", columns, list(map(_dead_row, notices)), limit=selection.limit)


def show_notice(notice_id: int, *, as_json: bool) -> None:
    """Print one dead notice. Raises Failed if there is none with this id."""
    try:
        with open_session() as session:
            history = session.run(lambda connection, _: find_dead(connection, notice_id))
    except NotPossible as refusal:
        raise Failed(str(refusal)) from None
    if as_json:
        document = as_object(history)
        del document["notice"]
        show_json({**as_object(history.notice), **document})
        return
    show_facts(_facts(history))
    show_text("body", history.body)
    if history.attempts:
        typer.echo("attempts:")
        columns = ("when", "verdict", "took", "address", "status", "response")
        show_table(columns, map(_attempt_row, history.attempts))
    if history.waiting:
        behind = (f"{notice.action} (generation {notice.generation})" for notice in history.waiting)
        typer.echo(f"waiting behind it: {', '.join(behind)}")
    typer.echo(f"resolutions: {_resolutions(history)}")


def show_undelivered(operator: str | None, options: PageOptions) -> None:
    """Print a page of notices that the partners have not accepted so far."""
    page, now = read_page(
        lambda connection, now: list_undelivered(
            connection,
            operator=operator,
            before=time_before(now, options.older_than),
            after=options.after,
            limit=options.limit,
        )
    )
    columns = (
        *("id", "undelivered since", "operator", "ticket", "notice", "tries", "next try"),
        "last problem",
    )
    show_page(
        "notices",
        page,
        columns,
        lambda notice: _undelivered_row(notice, now),
        if_empty="no undelivered notices",
        as_json=options.as_json,
    )


def last_response(notice: DeadNotice) -> str:
    """Return the status and the first characters of the partner's last response."""
    if notice.http_status is None:
        return "-"
    return f"{notice.http_status} {bounded(notice.answer or '', _IN_A_LIST_MAX)}".strip()


def _dead_row(notice: DeadNotice) -> tuple[str, ...]:
    return (
        str(notice.id),
        moment(notice.dead_since),
        notice.operator,
        notice.ticket_id,
        notice.action,
        str(notice.generation),
        "perhaps" if notice.perhaps_delivered else "no",
        str(notice.behind),
        last_response(notice),
        notice.reason or "-",
    )


def _facts(history: DeadNoticeHistory) -> Iterator[tuple[str, str]]:
    notice = history.notice
    yield "notice", f"{notice.id}, number {notice.number} of its ticket"
    yield "ticket", f"{notice.ticket_id} of {notice.operator}, {history.status} now"
    yield "action", f"{notice.action}, generation {notice.generation}"
    yield "caused by", history.event_id or "-"
    yield "created", moment(history.created_at)
    yield "dead since", moment(notice.dead_since)
    yield "reason", notice.reason or "-"
    yield "last response", last_response(notice)
    yield "perhaps delivered", "yes" if notice.perhaps_delivered else "no"
    if notice.operator_disabled_at is not None:
        yield "operator", f"disabled since {moment(notice.operator_disabled_at)}"


def _resolutions(history: DeadNoticeHistory) -> str:
    """Return the resolutions that rule 18 allows for this notice."""
    resolutions = ["retry"] if history.body else []
    resolutions.append("skip --delivered (the partner has it, or it was settled by hand)")
    if history.notice.action != Action.ROLLBACK:
        resolutions.append("skip --not-delivered (the partner does not have it and never gets it)")
    return "; ".join(resolutions)


def _attempt_row(attempt: AttemptFact) -> tuple[str, ...]:
    return (
        moment(attempt.recorded_at),
        attempt.verdict,
        f"{attempt.took.total_seconds():.3f} s",
        attempt.remote_address or "-",
        "-" if attempt.http_status is None else str(attempt.http_status),
        bounded(attempt.answer or attempt.problem or "-", _IN_AN_ATTEMPT_MAX),
    )


def _undelivered_row(notice: UndeliveredNotice, now: datetime) -> Sequence[str]:
    return (
        str(notice.id),
        moment(notice.undelivered_since),
        notice.operator,
        notice.ticket_id,
        notice.action,
        str(notice.tries),
        _next_try(notice, now),
        _last_problem(notice),
    )


def _next_try(notice: UndeliveredNotice, now: datetime) -> str:
    if notice.operator_disabled_at is not None:
        return "held: operator disabled"
    if notice.leased_until is not None and notice.leased_until > now:
        return "being sent"
    if notice.circuit_open:
        return "held: circuit open"
    return moment(notice.next_try_at) if notice.next_try_at > now else "due now"


def _last_problem(notice: UndeliveredNotice) -> str:
    if notice.verdict is None:
        return "not tried"
    status = None if notice.http_status is None else f"answered {notice.http_status}"
    problem = status if status and notice.problem in {None, status} else notice.problem
    parts = [problem or notice.verdict]
    if notice.answer:
        parts.append(bounded(notice.answer, _LAST_PROBLEM_MAX))
    perhaps = " (perhaps delivered)" if notice.perhaps_delivered else ""
    return f"{moment(notice.last_tried_at)} {': '.join(parts)}{perhaps}"
