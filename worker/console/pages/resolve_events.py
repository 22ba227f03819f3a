"""Retries or drops all events that match a filter, as a job.

The first page counts and changes nothing; it can be reloaded and sent to a colleague. The job takes
nothing that came after the count.
"""

import secrets
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from models.jobs import Job, count_job, start_job
from models.platform.timestamps import format_timestamp
from models.vocabulary import Outcome
from worker.console.addresses import path_of
from worker.console.console import Console, TheConsole
from worker.console.filters import read_time, read_word
from worker.console.forms import Act, TheAct
from worker.console.pages.event_filter import EventFilter, TheEventFilter
from worker.console.people import Operations, TheNow
from worker.console.refusals import invalid
from worker.console.rendering import render, see_other

KEY_MAX: Final = 255

routes = APIRouter()


class EventsAct(StrEnum):
    """What a person wants to do."""

    RETRY = "retry"
    DROP = "drop"


@routes.get("/events/resolve")
async def ask(
    request: Request, _user: Operations, console: TheConsole, chosen: TheEventFilter, now: TheNow
) -> Response:
    """Show how many events it concerns and what will happen, and ask for the reason."""
    act = read_word("Act", request.query_params.get("act"), EventsAct) or EventsAct.RETRY
    arguments = _arguments(console, chosen, seen_at=now)
    count = await console.read(
        lambda connection: count_job(connection, f"{act}_events", arguments, now=now)
    )
    return render(
        request,
        "events_resolve.html",
        act=act,
        chosen=chosen,
        query=chosen.query,
        count=count,
        seen_at=format_timestamp(now, "microseconds"),
        key=secrets.token_urlsafe(16),
    )


@routes.post("/events/resolve")
async def resolve(
    request: Request, _user: Operations, console: TheConsole, act: TheAct, now: TheNow
) -> Response:
    """Start the job."""
    chosen = EventFilter.read(dict(act.form), now)
    what = read_word("Act", act.text("act"), EventsAct)
    seen_at = read_time("The time of the page", act.text("seen_at"), now)
    if what is None or seen_at is None or seen_at > now:
        raise invalid("The form is incomplete. Nothing was done: open the page again.")
    arguments = _arguments(console, chosen, seen_at=seen_at)
    if what is EventsAct.RETRY and act.text("as_now") == "1":
        arguments["as_now"] = True
    job = await console.change(
        lambda connection: _start(connection, f"{what}_events", arguments, act, now)
    )
    message = f"Job {job.id} has begun: {job.expected} {chosen.outcome} events."
    return see_other(request, path_of("jobs", job.id), message=message)


def _start(
    connection: Connection, kind: str, arguments: dict[str, Any], act: Act, now: datetime
) -> Job:
    """Start the job; the same form sent twice starts it once."""
    key = act.text("key")[:KEY_MAX] or None
    return start_job(connection, kind, arguments, person=act.person, now=now, key=key)


def _arguments(console: Console, chosen: EventFilter, *, seen_at: datetime) -> dict[str, Any]:
    until = chosen.selection.until
    end = seen_at if until is None else min(until, seen_at)
    return {
        **chosen.selection.arguments,
        "until": format_timestamp(end),
        "outcome": Outcome(chosen.outcome).value,
        "window": console.settings.parking_window.total_seconds(),
        "age_max": console.settings.event_age_max.total_seconds(),
    }
