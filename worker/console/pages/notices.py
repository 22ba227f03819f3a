"""Notices by how they stand, and the choice of those that are to be resolved."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, NamedTuple

from annotated_types import Ge, Le
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import AwareDatetime
from sqlalchemy import Connection, text

from models.triage import (
    BEHIND_MAX,
    ListedNotice,
    NoticeOutcome,
    NoticePage,
    NoticePlace,
    list_notices,
    newest_notice,
)
from models.users import Role
from models.vocabulary import Action, NoticeEnd
from worker.console.console import TheConsole
from worker.console.cursors import read_cursor, write_cursor
from worker.console.display.personal import sees_personal
from worker.console.live import live_response
from worker.console.pages.notice_filter import TheFilter
from worker.console.people import TheNow, Viewer
from worker.console.rendering import render

PAGE: Final = 50
PARTNERS_MAX: Final = 200  # in a choice; beyond that the code is written
PARTNERS: Final = text("SELECT code FROM operator ORDER BY code LIMIT :limit")

routes = APIRouter()


class NoticeCursor(NamedTuple):
    """Where a page of the list ends, as it comes back in an address."""

    at: AwareDatetime
    id: Annotated[int, Ge(0), Le(2**63 - 1)]


@dataclass(frozen=True, slots=True)
class OutcomeWords:
    """An outcome in words. *time*: what its list is ordered by, and the times of the filter."""

    label: str
    means: str
    time: str


OUTCOMES: Final = {
    NoticeOutcome.DEAD: OutcomeWords(
        "dead",
        "Slipway has given up on these, and each blocks its ticket until a person retries or skips"
        " it.",
        "Dead since",
    ),
    NoticeOutcome.WAITING: OutcomeWords(
        "waiting",
        "These are sent by themselves; nobody needs to do anything. What is due next is first. Of"
        " each ticket the list has the first, and counts what waits behind it.",
        "Next attempt",
    ),
    NoticeOutcome.ON_HOLD: OutcomeWords(
        "on hold",
        "A person holds their tickets: nothing is sent until the ticket is released.",
        "On hold since",
    ),
    NoticeOutcome.DELIVERED: OutcomeWords(
        "delivered", "The partner has accepted these.", "Last attempt"
    ),
    NoticeOutcome.SKIPPED: OutcomeWords(
        "skipped",
        "A person, or the end of a partnership, decided that these are not sent.",
        "Skipped",
    ),
    NoticeOutcome.WITHDRAWN: OutcomeWords(
        "withdrawn", "These were taken back before they were sent.", "Withdrawn"
    ),
    NoticeOutcome.REFUSED: OutcomeWords(
        "refused", "The partner did not accept the ticket, so it was cancelled.", "Refused"
    ),
    NoticeOutcome.NOT_WANTED: OutcomeWords(
        "not wanted",
        "The partner does not want these actions, so they are never sent. Their tickets go on as if"
        " they had been delivered.",
        "Its turn",
    ),
    NoticeOutcome.TRIED: OutcomeWords(
        "any, by last attempt", "Whatever became of them, the latest attempt first.", "Last attempt"
    ),
}
_TONES: Final = {
    NoticeEnd.DELIVERED: "good",
    NoticeEnd.DEAD: "bad",
    NoticeEnd.REFUSED: "warning",
    NoticeEnd.SKIPPED: "neutral",
    NoticeEnd.WITHDRAWN: "neutral",
    NoticeEnd.NOT_WANTED: "neutral",
}


@dataclass(frozen=True, slots=True)
class NoticeRow:
    """A line of the page. *state* and *tone*: how the notice stands."""

    notice: ListedNotice
    state: str
    tone: str

    @classmethod
    def of(cls, notice: ListedNotice, now: datetime) -> "NoticeRow":
        """Say how *notice* stands."""
        if notice.ended is not None:
            return cls(notice, notice.ended, _TONES[NoticeEnd(notice.ended)])
        if notice.leased_until is not None and notice.leased_until > now:
            return cls(notice, "being sent", "info")
        held = _held_by(notice)
        if held is not None:
            return cls(notice, held, "warning")
        return cls(notice, "due now" if notice.due_at <= now else "waits for its time", "info")


def _held_by(notice: ListedNotice) -> str | None:
    if notice.on_hold_at is not None:
        return "ticket on hold"
    if notice.operator_ended_at is not None:
        return "partnership ended"
    if notice.operator_disabled_at is not None:
        return "held: partner disabled"
    return "held: circuit open" if notice.circuit_open else None


@routes.get("/notices")
async def notices(
    request: Request,
    user: Viewer,
    console: TheConsole,
    chosen: TheFilter,
    now: TheNow,
    after: str | None = None,
) -> Response:
    """List notices."""
    place = read_cursor(after, NoticeCursor)

    def read(connection: Connection) -> tuple[NoticePage, list[str]]:
        page = list_notices(
            connection,
            chosen.outcome,
            chosen.selection,
            after=None if place is None else NoticePlace(*place),
            limit=PAGE,
        )
        return page, partner_codes(connection)

    page, partners = await console.read(read)
    can_resolve = chosen.outcome is NoticeOutcome.DEAD and user.role.allows(Role.SUPPORT)
    return render(
        request,
        "notices.html",
        rows=[NoticeRow.of(notice, now) for notice in page.lines],
        page=page,
        query=chosen.query,
        outcome=chosen.outcome,
        outcomes=OUTCOMES,
        choices=[(outcome.value, words.label) for outcome, words in OUTCOMES.items()],
        actions=[action.value for action in Action if action is not Action.OPEN],
        partners=partners,
        behind_max=BEHIND_MAX,
        next_cursor=None if page.next is None else write_cursor(NoticeCursor(*page.next)),
        first=place is None,
        sees_answers=sees_personal(user.role),
        can_resolve=can_resolve,
        can_resolve_all=can_resolve and user.role.allows(Role.OPERATIONS),
    )


@routes.get("/notices/live")
async def live(request: Request, user: Viewer, chosen: TheFilter) -> Response:
    """Say when the list has changed."""
    return live_response(
        request,
        user,
        lambda connection: newest_notice(connection, chosen.outcome, chosen.selection.operator),
    )


def partner_codes(connection: Connection) -> list[str]:
    """Return the partners' codes; none if there are too many to choose from."""
    codes = list(connection.execute(PARTNERS, {"limit": PARTNERS_MAX + 1}).scalars())
    return codes if len(codes) <= PARTNERS_MAX else []
