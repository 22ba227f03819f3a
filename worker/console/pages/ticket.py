"""A ticket: why it stands where it stands, what happened, and what a person can do about it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import uuid4

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from models.events.format import MONEY_FIELDS
from models.history import NoticeFact, TicketHistory, load_histories, timeline, why_not_closed
from models.history.facts_in_words import amounts_by_field, facts_by_name
from models.history.load import FACTS_MAX
from models.history.moves import moves_made
from models.history.pulse import read_ticket_pulse
from models.history.values import AttemptFact, TicketFact
from models.platform.timestamps import format_timestamp, parse_timestamp
from models.tickets.tombstones import why_removed
from models.triage import BY_HAND, Resolution
from models.triage.standing import standing_of, standing_of_notice
from models.users import Role
from models.vocabulary import RESULTS, SENT_ONCE, Action, NoticeEnd, Status
from worker.console.addresses import PathId, path_of
from worker.console.console import TheConsole
from worker.console.display.masked_history import history_for
from worker.console.display.personal import MASK
from worker.console.display.state_picture import BOX, HEIGHT, WIDTH, draw_states
from worker.console.display.timeline_rows import fold_timeline, newest_moments
from worker.console.live import live_response
from worker.console.people import TheNow, Viewer
from worker.console.refusals import invalid, not_found
from worker.console.rendering import render

_SKIPS: Final = {
    Resolution.SKIP_DELIVERED: "The partner has it: it counts as delivered from now on.",
    Resolution.SKIP_NOT_DELIVERED: "The partner does not have it, and is never sent it.",
    Resolution.SKIP_REPEAT: "It is a repeat: its original was delivered, so nothing is lost.",
}

routes = APIRouter()


@dataclass(frozen=True, slots=True)
class DeadNoticeChoices:
    """A dead notice, how it stands, and what a person can do about it."""

    notice: NoticeFact
    standing: str
    skips: tuple[tuple[str, str], ...]  # each way to skip it, and what that means


@dataclass(frozen=True, slots=True)
class AnsweredNotice:
    """A notice, and one attempt to deliver it."""

    notice: NoticeFact
    attempt: AttemptFact


@routes.get("/tickets/{operator}/{ticket_id}")
async def ticket(
    request: Request,
    user: Viewer,
    console: TheConsole,
    now: TheNow,
    operator: PathId,
    ticket_id: PathId,
    before: Annotated[str | None, Query(max_length=40)] = None,
) -> Response:
    """Show the ticket; *before*: only what happened before a time."""
    until = _time(before)

    def load(connection: Connection) -> tuple[TicketHistory, TicketHistory]:
        present = _find(connection, operator, ticket_id, None)
        older = present if until is None else _find(connection, operator, ticket_id, until)
        return present, older

    present, shown = await console.read(load)
    history, shown = history_for(user.role, present), history_for(user.role, shown)
    moments, since = newest_moments(timeline(shown))
    currency = history.ticket.details.get("currency")
    return render(
        request,
        "ticket.html",
        ticket=history.ticket,
        history=history,
        sentence=_sentence(history, now),
        said=_last_answer(history),
        picture=draw_states(history.ticket.status, moves_made(history)),
        picture_size=(WIDTH, HEIGHT, *BOX),
        facts=[
            (name.capitalize(), MASK if MASK in fact else fact)
            for name, fact in facts_by_name({**history.ticket.details, **history.ticket.amounts})
        ],
        rows=fold_timeline(moments, currency),
        path=path_of("tickets", history.ticket.operator, history.ticket.ticket_id),
        trace_url=console.settings.console_trace_url,
        before=before,
        earlier=_earlier(since, _begin(shown) if shown.cut else None),
        cut=shown.cut,
        facts_max=FACTS_MAX,
        acts=_acts(history) if user.role.allows(Role.SUPPORT) else None,
    )


@routes.get("/tickets/{operator}/{ticket_id}/live")
async def live(request: Request, user: Viewer, operator: PathId, ticket_id: PathId) -> Response:
    """Say when the ticket has changed."""
    return live_response(
        request, user, lambda connection: read_ticket_pulse(connection, operator, ticket_id)
    )


def _find(
    connection: Connection, operator: str, ticket_id: str, before: datetime | None
) -> TicketHistory:
    histories = load_histories(connection, ticket_id, operator=operator, before=before)
    if not histories:
        removed = why_removed(connection, ticket_id, operator=operator)
        sentence = (
            f"There is no ticket {ticket_id} of {operator}."
            if removed is None
            else f"{removed[:1].upper()}{removed[1:]}."
        )
        raise not_found(
            f"{sentence} What was refused before it became an event is on the page Events."
        )
    return histories[0]


def _time(before: str | None) -> datetime | None:
    if not before:
        return None
    try:
        return parse_timestamp(before)
    except ValueError as error:
        raise invalid(f"This address cannot be read: before {error}.") from None


def _sentence(history: TicketHistory, now: datetime) -> str:
    sentence = why_not_closed(history, now=now)
    return sentence[:1].upper() + sentence[1:]


def _last_answer(history: TicketHistory) -> AnsweredNotice | None:
    attempts = [
        AnsweredNotice(notice, attempt) for notice in history.notices for attempt in notice.attempts
    ]
    return max(attempts, key=lambda each: each.attempt.recorded_at, default=None)


def _earlier(*begins: datetime | None) -> str | None:
    """Return before what an earlier part of the history is to be shown; None: this is all."""
    known = [begin for begin in begins if begin is not None]
    return format_timestamp(max(known), "microseconds") if known else None


def _begin(history: TicketHistory) -> datetime | None:
    """Return the time since when *history* is complete: the latest beginning of a cut kind."""
    attempts = [attempt for notice in history.notices for attempt in notice.attempts]
    kinds = (
        [event.received_at for event in history.events],
        [notice.created_at for notice in history.notices],
        [attempt.recorded_at for attempt in attempts],
        [fact.at for fact in history.interventions],
        [fact.rejected_at for fact in history.refused],
    )
    begins = [min(times) for times in kinds if len(times) >= FACTS_MAX]
    return max(begins, default=None)


def _acts(history: TicketHistory) -> dict[str, Any]:
    """Return what support may do with this ticket now."""
    ticket = history.ticket
    ended = ticket.operator_ended_at is not None
    absent = ticket.status is Status.ABSENT
    return {
        "standing": standing_of(ticket),
        "dead": [] if ended else [_dead(each) for each in history.notices if _is_dead(each)],
        "send_again": [] if ended else _may_go_again(history),
        "hold": _may_be_held(history),
        "publish": [] if ended or absent else _may_be_published(ticket.status),
        "money": [(name, _own_amount(ticket, name)) for name in MONEY_FIELDS],
        "event_id": str(uuid4()),  # so that a form that is sent twice counts once
    }


def _own_amount(ticket: TicketFact, name: str) -> str | None:
    """Return the ticket's own amount as a form takes it, with the decimal: `1234 = 12.34 EUR`."""
    own = ticket.details.get(name)
    if own is None:
        return None
    in_units = dict(amounts_by_field({name: own}, currency=ticket.details.get("currency")))
    return f"{own} = {in_units[name]}" if name in in_units else str(own)


def _is_dead(notice: NoticeFact) -> bool:
    return notice.ended is NoticeEnd.DEAD


def _dead(notice: NoticeFact) -> DeadNoticeChoices:
    if notice.repeat:
        ways = [Resolution.SKIP_REPEAT]
    elif notice.action is Action.ROLLBACK:  # never passed over (rule 18)
        ways = [Resolution.SKIP_DELIVERED]
    else:
        ways = [Resolution.SKIP_DELIVERED, Resolution.SKIP_NOT_DELIVERED]
    texts = {way: _SKIPS[way] for way in ways}
    if notice.action in RESULTS and not notice.repeat:
        texts[Resolution.SKIP_DELIVERED] += " If it is the present result, its close delay starts."
        texts[Resolution.SKIP_NOT_DELIVERED] += (
            " Its rollback is withdrawn too, and the ticket does not close by itself."
        )
    return DeadNoticeChoices(
        notice,
        standing_of_notice(notice.ended, notice.ended_at),
        tuple((way.value, meaning) for way, meaning in texts.items()),
    )


def _may_go_again(history: TicketHistory) -> list[NoticeFact]:
    """Return the notices from which the ticket can be sent again (rule 22)."""
    if history.ticket.bodies_removed is not None:
        return []
    return [
        notice
        for notice in history.notices
        if notice.ended is NoticeEnd.DELIVERED
        and not notice.repeat
        and notice.action not in SENT_ONCE
    ]


def _may_be_held(history: TicketHistory) -> bool:
    ticket = history.ticket
    if ticket.on_hold_at is not None or ticket.status in {Status.ABSENT, Status.NEW}:
        return False
    return ticket.status not in {Status.CLOSED, Status.CANCELLED} or ticket.unfinished > 0


def _may_be_published(status: Status) -> list[str]:
    if status in {Status.CLOSED, Status.CANCELLED}:
        return []
    return [action.value for action in BY_HAND]
