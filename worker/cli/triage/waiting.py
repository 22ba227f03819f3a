"""Shows what is owed between two tries, and a partner's tickets that have not ended."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import Connection

from models.triage import NoPlace, OwedNotice, Page, UnendedTicket, list_owed, list_unended
from models.vocabulary import Status
from worker.cli.errors import WrongUsage
from worker.cli.output import bounded, moment, remark, show_json, show_table
from worker.cli.triage.session import before, session
from worker.cli.triage.ticket_facts import in_words

T = TypeVar("T")
_WORDS_MAX = 120  # of what a partner wrote


def show_owed(
    operator: str | None,
    older_than: timedelta | None,
    *,
    limit: int,
    after: str | None,
    as_json: bool,
) -> None:
    """Print a page of notices that the partners have not taken so far."""
    page, now = _page(
        lambda connection, now: list_owed(
            connection,
            operator=operator,
            before=before(now, older_than),
            after=after,
            limit=limit,
        )
    )
    columns = (
        "id",
        "owed since",
        "operator",
        "ticket",
        "notice",
        "tries",
        "next try",
        "last problem",
    )
    _show(
        "notices",
        page,
        columns,
        lambda one: _owed_row(one, now),
        nothing="nothing is owed",
        as_json=as_json,
    )


def show_tickets(
    operator: str,
    statuses: Sequence[Status],
    older_than: timedelta | None,
    *,
    limit: int,
    after: str | None,
    as_json: bool,
) -> None:
    """Print a page of an operator's tickets that have not ended."""
    page, _ = _page(
        lambda connection, now: list_unended(
            connection,
            operator=operator,
            statuses=statuses,
            before=before(now, older_than),
            after=after,
            limit=limit,
        )
    )
    columns = ("since", "ticket", "status", "changed", "closes at", "waits for", "slip")
    _show("tickets", page, columns, _ticket_row, nothing="no such tickets", as_json=as_json)


def _page(read: Callable[[Connection, datetime], Page[T]]) -> tuple[Page[T], datetime]:
    with session() as desk:
        try:
            return desk.do(lambda connection, now: (read(connection, now), now))
        except NoPlace as wrong:
            raise WrongUsage(f"--after: {wrong}") from None


def _show(
    what: str,
    page: Page[T],
    columns: Sequence[str],
    row: Callable[[T], Sequence[str]],
    *,
    nothing: str,
    as_json: bool,
) -> None:
    if as_json:
        show_json({what: page.lines, "next": page.next})
        return
    if not page.lines:
        remark(nothing)
        return
    show_table(columns, map(row, page.lines))
    if page.next is not None:
        remark(f"there are more: --after {page.next}")


def _owed_row(one: OwedNotice, now: datetime) -> Sequence[str]:
    return (
        str(one.id),
        moment(one.owed_since),
        one.operator,
        one.ticket_id,
        one.action,
        str(one.tries),
        _next_try(one, now),
        _last_problem(one),
    )


def _next_try(one: OwedNotice, now: datetime) -> str:
    if one.operator_disabled_at is not None:
        return "held: operator disabled"
    if one.leased_until is not None and one.leased_until > now:
        return "being sent"
    if one.circuit_open:
        return "held: circuit open"
    return moment(one.next_try_at) if one.next_try_at > now else "due now"


def _last_problem(one: OwedNotice) -> str:
    if one.verdict is None:
        return "not tried"
    status = None if one.http_status is None else f"answered {one.http_status}"
    said = [status] if status and one.problem in {None, status} else [one.problem or one.verdict]
    if one.answer:
        said.append(bounded(one.answer, _WORDS_MAX))
    perhaps = " (perhaps delivered)" if one.perhaps_delivered else ""
    return f"{moment(one.last_tried_at)} {': '.join(said)}{perhaps}"


def _ticket_row(one: UnendedTicket) -> Sequence[str]:
    waits = [f"notices: {one.unfinished}"] if one.unfinished else []
    waits += [f"parked events: {one.parked}"] if one.parked else []
    return (
        moment(one.created_at),
        one.ticket_id,
        one.status if one.result == "pending" else f"{one.status}/{one.result}",
        moment(one.changed_at),
        moment(one.close_due_at),
        ", ".join(waits) or "-",
        ", ".join(in_words({**one.details, **one.amounts})) or "-",
    )
