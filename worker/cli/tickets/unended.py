"""Prints an operator's tickets that are neither closed nor cancelled."""

from collections.abc import Sequence

from models.history.facts_in_words import in_words
from models.triage import UNENDED, UnendedTicket, list_unended
from models.vocabulary import Status
from worker.cli.output import moment
from worker.cli.triage.display import read_page, show_page
from worker.cli.triage.options import PageOptions
from worker.cli.triage.session import time_before


def show_unended(operator: str, statuses: Sequence[str], options: PageOptions) -> None:
    """Print a page of an operator's tickets that have not ended; of all, without *statuses*."""
    chosen = [Status(status) for status in statuses] or UNENDED
    page, _ = read_page(
        lambda connection, now: list_unended(
            connection,
            operator=operator,
            statuses=chosen,
            before=time_before(now, options.older_than),
            after=options.after,
            limit=options.limit,
        )
    )
    columns = ("since", "ticket", "status", "changed", "closes at", "waits for", "facts")
    show_page("tickets", page, columns, _row, if_empty="no such tickets", as_json=options.as_json)


def _row(ticket: UnendedTicket) -> Sequence[str]:
    waits_for = [] if ticket.on_hold_at is None else [f"release since {moment(ticket.on_hold_at)}"]
    waits_for += [f"notices: {ticket.unfinished}"] if ticket.unfinished else []
    waits_for += [f"parked events: {ticket.parked}"] if ticket.parked else []
    return (
        moment(ticket.created_at),
        ticket.ticket_id,
        ticket.status if ticket.result == "pending" else f"{ticket.status}/{ticket.result}",
        moment(ticket.changed_at),
        moment(ticket.close_due_at),
        ", ".join(waits_for) or "-",
        ", ".join(in_words({**ticket.details, **ticket.amounts})) or "-",
    )
