"""What people did: filtered, page by page, and as a CSV file."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Self

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response, StreamingResponse

from models.audit import ACTS, ActFilter, ActPage, ActPlace, RecordedAct, list_acts, newest_act
from models.platform.timestamps import format_timestamp
from models.users import Role
from worker.console.console import Console, TheConsole
from worker.console.cursors import read_cursor
from worker.console.display.csv_rows import BYTE_ORDER_MARK, csv_text
from worker.console.display.personal import MASK, mask_personal, sees_personal
from worker.console.filters import read_text, read_time
from worker.console.live import live_response
from worker.console.people import TheNow, Viewer
from worker.console.rendering import render

PAGE: Final = 50
CSV_PAGE: Final = 500  # rows that are in memory at a time
COLUMNS: Final = ("at", "who", "act", "what", "partner", "ticket", "why", "facts")
_FIELDS: Final = ("who", "did", "partner", "ticket", "since", "until")

routes = APIRouter()


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """What is asked for. *query* is that as it was written: the state of the page."""

    acts: ActFilter
    query: dict[str, str]

    @classmethod
    def read(cls, request: Request, now: datetime) -> Self:
        """Read the address. Raises PageRefused (422)."""
        given = request.query_params
        query = {name: given[name] for name in _FIELDS if given.get(name)}
        acts = ActFilter(
            who=read_text("Person", query.get("who")),
            did=read_text("Act", query.get("did")),
            operator=read_text("Partner", query.get("partner")),
            ticket_id=read_text("Ticket", query.get("ticket")),
            since=read_time("From", query.get("since"), now),
            until=read_time("To", query.get("until"), now),
        )
        return cls(acts, query)


def _of_address(request: Request, now: TheNow) -> HistoryFilter:
    return HistoryFilter.read(request, now)


TheHistoryFilter = Annotated[HistoryFilter, Depends(_of_address)]


@routes.get("/history")
async def history(
    request: Request,
    user: Viewer,
    console: TheConsole,
    chosen: TheHistoryFilter,
    after: str | None = None,
) -> Response:
    """Show what people did, newest first."""
    place = read_cursor(after, ActPlace)
    page = await _read(console, chosen.acts, place, PAGE)
    return render(
        request,
        "history.html",
        page=page,
        query=chosen.query,
        first=place is None,
        acts=sorted(((did, text.title) for did, text in ACTS.items()), key=lambda act: act[1]),
        reasons_hidden=not sees_personal(user.role),
    )


@routes.get("/history/live")
async def live(request: Request, user: Viewer) -> Response:
    """Say when a person did something."""
    return live_response(request, user, newest_act)


@routes.get("/history.csv")
async def history_csv(
    user: Viewer, console: TheConsole, chosen: TheHistoryFilter
) -> StreamingResponse:
    """Stream all that matches, not only a page: a page of it in memory at a time.

    The first is read before the response begins, so that a fault is a page that says so; a later
    one breaks the download off.
    """
    first = await _read(console, chosen.acts, None, CSV_PAGE)
    headers = {"Content-Disposition": 'attachment; filename="slipway-history.csv"'}
    return StreamingResponse(
        _csv(console, chosen.acts, first, user.role),
        media_type="text/csv; charset=utf-8",
        headers=headers,
    )


async def _csv(console: Console, acts: ActFilter, page: ActPage, role: Role) -> AsyncIterator[str]:
    yield BYTE_ORDER_MARK + csv_text([COLUMNS])
    while True:
        yield csv_text(_cells(act, role) for act in page.acts)
        if page.next is None:
            return
        page = await _read(console, acts, page.next, CSV_PAGE)


async def _read(console: Console, acts: ActFilter, after: ActPlace | None, limit: int) -> ActPage:
    return await console.read(
        lambda connection: list_acts(connection, acts, after=after, limit=limit)
    )


def _cells(act: RecordedAct, role: Role) -> Sequence[str | None]:
    facts = mask_personal(role, dict(act.facts))
    return (
        format_timestamp(act.at),
        act.who,
        act.did,
        act.sentence,
        act.operator,
        act.ticket_id,
        act.why if sees_personal(role) else MASK,
        json.dumps(facts, ensure_ascii=False) if facts else None,
    )
