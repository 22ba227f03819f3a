"""Shows what was rejected."""

from datetime import datetime, timedelta

from models.clock import DatabaseClock
from models.story import Refusal, list_rejected
from worker.cli.database import transaction
from worker.cli.output import moment, remark, show_json, show_table


def show_rejected(
    *,
    operator: str | None,
    reason: str | None,
    since: timedelta | None,
    limit: int,
    as_json: bool,
) -> None:
    """Print the newest *limit* refusals that fit."""
    with transaction() as connection:
        start = None if since is None else _start(DatabaseClock().now(connection), since)
        refusals = list_rejected(
            connection, operator=operator, reason=reason, since=start, limit=limit
        )
    if as_json:
        show_json(refusals)
        return
    if not refusals:
        remark("no rejected events")
        return
    columns = ("rejected (UTC)", "operator", "ticket", "event", "action", "reason", "details")
    show_table(columns, [_row(refusal) for refusal in refusals])
    if len(refusals) == limit:
        remark(f"these are the newest {limit}; there may be more (--limit)")


def _start(now: datetime, since: timedelta) -> datetime | None:
    try:
        return now - since
    except OverflowError:  # longer ago than there are years: all of it
        return None


def _row(refusal: Refusal) -> tuple[str, ...]:
    stands = "" if refusal.status is None else f"the ticket is {refusal.status} now"
    return (
        moment(refusal.at),
        refusal.operator or "-",
        refusal.ticket_id or "-",
        refusal.event_id or refusal.entry_id or "-",
        refusal.action or "-",
        refusal.reason or "-",
        refusal.message or stands,
    )
