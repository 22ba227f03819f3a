"""The overview: one field that finds everything, and what needs a person now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from models.monitoring.attention import Attention, Need, what_needs_a_person
from models.search import (
    InvalidSearch,
    MatchKind,
    PlayerTickets,
    SearchResult,
    list_player_tickets,
    operators_of_player,
    search,
)
from models.settings.settings import Settings
from models.users import Role, SignedInUser
from worker.console.addresses import path_of
from worker.console.console import Console, TheConsole
from worker.console.cursors import NumberKey, read_cursor
from worker.console.display.personal import sees_personal
from worker.console.live import live_response
from worker.console.people import TheNow, Viewer
from worker.console.rendering import render, see_other
from worker.console.search_targets import only_target, target_of
from worker.console.system_watch import TheWatch
from worker.doctor.processes import GRACE, ROUNDS_MAX

_INVALID: Final = 422

routes = APIRouter()


@dataclass(frozen=True, slots=True)
class NeedLine:
    """How the overview shows what needs a person."""

    title: str
    meaning: str
    path: str
    link: str


NEEDS: Final = {
    Need.SWEEP: NeedLine(
        "The sweep has stopped",
        "Nothing closes, no waiting event is given up and no job goes on until it runs again.",
        "/system",
        "See the system",
    ),
    Need.DEAD: NeedLine(
        "Dead notices",
        "The partner refused them for good, or every attempt failed. They hold back what follows on"
        " their tickets until somebody retries or skips them.",
        path_of("notices", query={"outcome": "dead"}),
        "See the dead notices",
    ),
    Need.REJECTED: NeedLine(
        "Rejected events",
        "They were not applied. Retry those that were right, drop the others.",
        path_of("events", query={"outcome": "rejected"}),
        "See the rejected events",
    ),
    Need.SUPERSEDED: NeedLine(
        "Superseded events that differ",
        "They say something else than the newer event that stands.",
        path_of("events", query={"outcome": "superseded"}),
        "See the superseded events",
    ),
    Need.PARKED: NeedLine(
        "Events parked too long",
        "The time for which they may wait has passed, but nothing decided them.",
        path_of("events", query={"outcome": "parked"}),
        "See the parked events",
    ),
    Need.CLOSINGS: NeedLine(
        "Closings late",
        "These tickets should be closed by now. Most often the sweep does not run, or has no"
        " watermark.",
        "/system",
        "See the system",
    ),
    Need.ON_HOLD: NeedLine(
        "Tickets on hold for long",
        "Somebody holds them for days: nothing is sent and they do not close until released.",
        path_of("history", query={"did": "ticket_held"}),
        "See who held tickets",
    ),
    Need.STUCK_JOBS: NeedLine(
        "Jobs that do not go on",
        "Their next step is due, but nothing does it.",
        "/jobs",
        "See the jobs",
    ),
    Need.FAILED_JOBS: NeedLine(
        "Jobs that failed",
        "They ended in the last three days without finishing.",
        path_of("jobs", query={"state": "failed"}),
        "See the failed jobs",
    ),
}


@routes.get("/")
async def home(
    request: Request,
    user: Viewer,
    console: TheConsole,
    now: TheNow,
    watch: TheWatch,
    q: str = "",
    after: str | None = None,
) -> Response:
    """Show the search field with what needs a person, or what the text is the id of."""
    if q.strip():
        return await _found(request, user, console, watch, q, after)
    attention = await console.read(
        lambda connection: attention_at(connection, console.settings, now)
    )
    return render(
        request,
        "home.html",
        attention=attention,
        needs=NEEDS,
        Need=Need,
        sees_reasons=sees_personal(user.role),
    )


@routes.get("/live")
async def live(request: Request, user: Viewer, console: TheConsole) -> Response:
    """Tell the overview that what needs a person has changed."""

    def pulse(connection: Connection) -> object:
        now = console.clock.now(connection)
        attention = attention_at(connection, console.settings, now)
        return attention.figures, attention.circuits

    return live_response(request, user, pulse)


def attention_at(connection: Connection, settings: Settings, now: datetime) -> Attention:
    """Read what needs a person; a sweep has stopped when `doctor` says so as well."""
    late = ROUNDS_MAX * settings.sweep_interval + GRACE
    return what_needs_a_person(connection, now=now, round_late=late)


@dataclass(frozen=True, slots=True)
class SearchMatches:
    """What a text is the id of; *player*: if it is a player's, a page of the tickets."""

    result: SearchResult
    player: PlayerTickets | None
    operators: Sequence[str]  # those with tickets of the player, for operations


def _look(
    connection: Connection, text: str, before: int | None, *, with_operators: bool
) -> SearchMatches:
    result = search(connection, text)
    if not any(group.kind is MatchKind.PLAYER for group in result.kinds):
        return SearchMatches(result, None, ())
    operators = operators_of_player(connection, text) if with_operators else []
    tickets = list_player_tickets(connection, text, before=before)
    return SearchMatches(result, tickets, operators)


async def _found(
    request: Request,
    user: SignedInUser,
    console: Console,
    watch: TheWatch,
    text: str,
    after: str | None,
) -> Response:
    key = read_cursor(after, NumberKey)
    before = None if key is None else key.number
    with_operators = user.role.allows(Role.OPERATIONS)
    try:
        results = await console.read(
            lambda connection: _look(connection, text, before, with_operators=with_operators)
        )
    except InvalidSearch as error:
        return render(request, "search.html", status=_INVALID, q=text[:300], problem=str(error))
    target = only_target(results.result)
    if target is not None:
        return see_other(request, target)
    nothing = not results.result.kinds
    return render(
        request,
        "search.html",
        q=text.strip(),
        problem=None,
        results=results,
        MatchKind=MatchKind,
        target_of=target_of,
        first=before is None,
        may_erase=user.role.allows(Role.OPERATIONS),
        stream=await watch.stream() if nothing else None,
        retention=console.settings.retention,
    )
