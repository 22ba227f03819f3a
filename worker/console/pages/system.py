"""The system: what `doctor` says, who is connected, the stream, the sweep, the closings ahead."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from models.monitoring.closings import ClosingsAhead, closings_ahead
from models.monitoring.database_facts import DatabaseFacts, read_database_facts
from worker.console.console import TheConsole
from worker.console.display.personal import sees_personal
from worker.console.live import live_response
from worker.console.people import TheNow, Viewer
from worker.console.rendering import render
from worker.console.system_watch import TheWatch
from worker.doctor.finding import State
from worker.doctor.processes import GRACE, ROUNDS_MAX

_PER_HOUR: Final = 4  # steps of the plot
_TONES: Final = {
    State.OK: "good",
    State.DOUBTFUL: "warning",
    State.WRONG: "bad",
    State.UNKNOWN: "neutral",
}
_FIRST: Final = (State.WRONG, State.DOUBTFUL, State.UNKNOWN, State.OK)

routes = APIRouter()


@dataclass(frozen=True, slots=True)
class Hour:
    """The closings that are due in one hour."""

    begins: datetime
    closings: int


@routes.get("/system")
async def system(
    request: Request,
    user: Viewer,
    console: TheConsole,
    watch: TheWatch,
    now: TheNow,
    check: Annotated[Literal["now", ""], Query()] = "",
) -> Response:
    """Show what PostgreSQL knows at once; the checks come with `check=now`, or by themselves."""
    facts, ahead = await console.read(_read)
    looks = await _looks(watch) if check else _last_looks(watch)
    return render(
        request,
        "system.html",
        facts=facts,
        round_late=_round_is_late(facts, console.settings.sweep_interval, now),
        watermark_lag=_watermark_lag(facts, now),
        ahead=ahead,
        plot=None if ahead is None else _plot(ahead),
        hours=() if ahead is None else _hours(ahead),
        sees_answers=sees_personal(user.role),  # what a partner said quotes whom it is about
        **looks,
    )


@routes.get("/system/checks")
async def checks(request: Request, user: Viewer, watch: TheWatch, now: TheNow) -> Response:
    """Show the checks alone, as htmx puts them into the page."""
    looks = await _looks(watch)
    sees_answers = sees_personal(user.role)
    return render(request, "system_checks.html", now=now, sees_answers=sees_answers, **looks)


@routes.get("/system/live")
async def live(request: Request, user: Viewer) -> Response:
    """Tell the page that the sweep has done a round, or that processes came or went."""

    def pulse(connection: Connection) -> object:
        facts = read_database_facts(connection)
        names = [
            (process.process, process.version, process.sessions) for process in facts.processes
        ]
        ahead = closings_ahead(connection)
        return names, facts.revision, None if ahead is None else ahead.counted_at, _minute(facts)

    return live_response(request, user, pulse)


def _read(connection: Connection) -> tuple[DatabaseFacts, ClosingsAhead | None]:
    return read_database_facts(connection), closings_ahead(connection)


def _minute(facts: DatabaseFacts) -> datetime | None:
    """Return the minute of the last round: rounds end each second."""
    last = facts.last_round
    return None if last is None else last.ended_at.replace(second=0, microsecond=0)


async def _looks(watch: TheWatch) -> dict[str, Any]:
    doctor, stream = await watch.checks.look(), await watch.stream()
    return {"doctor": doctor, "stream": stream, "tones": _TONES, "first": _FIRST}


def _last_looks(watch: TheWatch) -> dict[str, Any]:
    return {
        "doctor": watch.checks.last(),
        "stream": watch.last_stream(),
        "tones": _TONES,
        "first": _FIRST,
    }


def _round_is_late(facts: DatabaseFacts, interval: timedelta, now: datetime) -> bool:
    last = facts.last_round
    return last is None or now - last.ended_at > ROUNDS_MAX * interval + GRACE


def _watermark_lag(facts: DatabaseFacts, now: datetime) -> timedelta | None:
    last = facts.last_round
    return None if last is None or last.watermark is None else now - last.watermark


def _plot(ahead: ClosingsAhead) -> dict[str, Any]:
    steps = range(len(ahead.closings))
    return {
        "x": [round((ahead.since + step * ahead.step).timestamp()) for step in steps],
        "lines": [{"label": "closings in 15 minutes", "values": list(ahead.closings)}],
    }


def _hours(ahead: ClosingsAhead) -> list[Hour]:
    return [
        Hour(ahead.since + place * ahead.step, sum(ahead.closings[place : place + _PER_HOUR]))
        for place in range(0, len(ahead.closings), _PER_HOUR)
    ]
