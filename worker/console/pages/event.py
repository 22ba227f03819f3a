"""One event that did not go through, or raw input: all that is known, retry and drop."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from models.lifecycle.advance import NO_WINDOW
from models.operators.interventions import Person
from models.platform.timestamps import format_timestamp
from models.tickets.load import lock_by_id
from models.triage import (
    NEEDING_A_PERSON,
    EventResolution,
    LoggedEvent,
    RawInput,
    drop_events,
    drop_raw,
    find_events,
    find_raw,
    retry_events,
    retry_raw,
)
from models.triage.event_sentences import did_drop, did_retry, prospect, remedy
from models.users import Role
from models.vocabulary import Outcome
from worker.console.addresses import path_of
from worker.console.console import Console, TheConsole
from worker.console.display.masked_events import data_for, message_for, raw_for
from worker.console.display.values import json_text
from worker.console.filters import read_text
from worker.console.forms import Act, TheAct
from worker.console.people import Support, TheNow, Viewer
from worker.console.refusals import invalid, not_found
from worker.console.rendering import render, see_other

EVENT_ID_MAX: Final = 1000
NOBODY: Final = Person("-", "-")  # of a rehearsal, which is rolled back

routes = APIRouter()

Shown = LoggedEvent | RawInput
IdText = Annotated[str | None, Query(max_length=EVENT_ID_MAX)]


@routes.get("/events/one")
async def event_page(
    request: Request,
    user: Viewer,
    console: TheConsole,
    now: TheNow,
    operator: IdText = None,
    ticket: IdText = None,
    event: IdText = None,
    entry: IdText = None,
) -> Response:
    """Show everything that is known about it; to whom may retry it, where that would lead now."""
    key = {"operator": operator, "ticket": ticket, "event": event, "entry": entry}
    shown = await console.read(lambda connection: _find(connection, key))
    outcome = Outcome.REJECTED if isinstance(shown, RawInput) else Outcome(shown.outcome)
    is_open = outcome in NEEDING_A_PERSON and shown.dropped_at is None
    may = user.role.allows(Role.SUPPORT) and outcome in NEEDING_A_PERSON
    leads_to = None
    if may:
        leads_to = await console.rehearse(
            lambda connection: prospect(
                lambda: _retry(connection, console, shown, as_now=False, person=NOBODY, now=now)[0],
                reason=shown.reason,
            )
        )
    return render(
        request,
        "event.html",
        event=shown,
        is_raw=isinstance(shown, RawInput),
        outcome=outcome,
        message=message_for(user.role, shown.message),
        advice=remedy(shown.reason),
        data=None if isinstance(shown, RawInput) else json_text(data_for(user.role, shown.data)),
        raw=raw_for(user.role, shown) if isinstance(shown, RawInput) else None,
        waits_for_partner=_waits_for_partner(shown),
        fields={name: given for name, given in key.items() if given},
        state=_state(shown),
        is_open=is_open,
        may_retry=may,
        may_drop=may and is_open,
        leads_to=leads_to,
    )


@routes.post("/events/one/retry")
async def retry(
    request: Request, _user: Support, act: TheAct, console: TheConsole, now: TheNow
) -> Response:
    """Decide it again, and say what came of it."""
    as_now = act.text("as_now") == "1"

    def change(connection: Connection) -> Sequence[EventResolution]:
        shown = _present(connection, act)
        return _retry(connection, console, shown, as_now=as_now, person=act.person, now=now)

    resolutions = await console.change(change)
    went_through = all(each.got_through for each in resolutions if each.selected)
    return see_other(
        request,
        _path(act),
        message="; ".join(did_retry(resolutions)) + ".",
        tone="good" if went_through else "warning",
    )


@routes.post("/events/one/drop")
async def drop(
    request: Request, _user: Support, act: TheAct, console: TheConsole, now: TheNow
) -> Response:
    """Drop it: it leaves the list and stays in the log."""

    def change(connection: Connection) -> Sequence[EventResolution]:
        shown = _present(connection, act)
        if isinstance(shown, RawInput):
            return [drop_raw(connection, shown.entry_id, now=now, person=act.person)]
        return drop_events(
            connection,
            shown.key.ticket,
            [shown.event_id],
            outcome=Outcome(shown.outcome),
            now=now,
            window=console.settings.parking_window,
            person=act.person,
        )

    resolutions = await console.change(change)
    return see_other(request, _path(act), message="; ".join(did_drop(resolutions)) + ".")


def _retry(
    connection: Connection,
    console: Console,
    shown: Shown,
    *,
    as_now: bool,
    person: Person,
    now: datetime,
) -> Sequence[EventResolution]:
    window = console.settings.parking_window
    if isinstance(shown, RawInput):
        age_max = console.settings.event_age_max
        resolution = retry_raw(
            connection, shown.entry_id, age_max=age_max, now=now, window=window, person=person
        )
        return [resolution]
    return retry_events(
        connection,
        shown.key.ticket,
        [shown.event_id],
        outcome=Outcome(shown.outcome),
        as_now=as_now,
        now=now,
        window=window,
        person=person,
    )


def _present(connection: Connection, act: Act) -> Shown:
    """Return it as it is now, under its ticket's lock. Raises PageRefused if it has changed."""
    key = {name: act.text(name) or None for name in ("operator", "ticket", "event", "entry")}
    shown = _find(connection, key)
    if isinstance(shown, LoggedEvent):
        lock_by_id(connection, [shown.key.ticket])
        shown = _find(connection, key)
    act.require_state(_state(shown))
    return shown


def _find(connection: Connection, key: dict[str, str | None]) -> Shown:
    """Return what *key* names. Raises PageRefused: 404, or 422 if it names nothing."""
    if entry := read_text("Entry", key["entry"]):
        raw = find_raw(connection, entry)
        if raw is None:
            raise not_found(f"There is no raw input of a stream entry {entry}.")
        return raw
    operator, ticket = read_text("Partner", key["operator"]), read_text("Ticket", key["ticket"])
    if not key["event"] or operator is None or ticket is None or "\0" in key["event"]:
        raise invalid("This address is incomplete: it names no event. Open it from the list.")
    events = find_events(connection, key["event"], operator=operator, ticket_id=ticket)
    if not events:
        raise not_found(
            f"There is no event {key['event']} of ticket {ticket} of {operator}; perhaps the ticket"
            " has been removed."
        )
    return events[0]


def _state(shown: Shown) -> str:
    """Return the state that an act has to meet again, in words."""
    if isinstance(shown, RawInput):
        state = f"rejected ({shown.reason}) at {format_timestamp(shown.rejected_at)}"
    else:
        reason = f" ({shown.reason})" if shown.reason else ""
        state = f"{shown.outcome}{reason} since {format_timestamp(shown.decided_at)}"
    if shown.dropped_at is None:
        return state
    return f"{state}, resolved at {format_timestamp(shown.dropped_at)}"


def _path(act: Act) -> str:
    names = ("operator", "ticket", "event", "entry")
    return path_of("events", "one", query={name: act.text(name) for name in names})


def _waits_for_partner(shown: Shown) -> bool:
    if isinstance(shown, RawInput) or shown.park_until is None:
        return False
    return shown.park_until >= NO_WINDOW
