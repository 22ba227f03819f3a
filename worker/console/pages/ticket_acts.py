"""What support does with a ticket: each act is a function of `models`, and says what it did."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from models.events.format import MONEY_FIELDS
from models.history import load_histories
from models.jobs import Job
from models.jobs.send_again import send_again_or_wait
from models.operators.interventions import Person
from models.outbox.send_again import SentAgain
from models.triage import (
    BY_HAND,
    InvalidStatement,
    PublishedEvent,
    Resolution,
    Statement,
    hold_ticket,
    publish_by_hand,
    release_ticket,
    resolve_dead,
)
from models.triage.sentences import (
    did_hold,
    did_publish,
    did_release,
    did_resolve,
    did_send_again,
)
from models.triage.standing import require_notice_of, require_standing
from models.vocabulary import Action, Outcome
from worker.console.addresses import PathId, path_of
from worker.console.console import Console, TheConsole
from worker.console.flash import Tone
from worker.console.forms import Act, TheAct
from worker.console.people import Support, TheNow
from worker.console.refusals import invalid
from worker.console.rendering import see_other

_WHOLE: Final = re.compile(r"[0-9]{1,18}")
_DECIMAL: Final = re.compile(r"[0-9]{1,9}\.[0-9]{1,9}")

routes = APIRouter(prefix="/tickets/{operator}/{ticket_id}")


@dataclass(frozen=True, slots=True)
class TicketAct:
    """What a person of support asks for on a ticket, and the state of it that the page showed."""

    request: Request
    act: Act
    console: Console
    now: datetime
    operator: str
    ticket_id: str

    @property
    def person(self) -> Person:
        """Who asks, and why."""
        return self.act.person

    @property
    def key(self) -> tuple[str, str]:
        """The ticket, as the functions of `models` take it."""
        return self.operator, self.ticket_id

    def require_seen(self, connection: Connection, *, notice: int | None = None) -> int:
        """Lock the ticket, which must stand as the page showed it; return its row's id."""
        if self.act.expected is None:
            raise invalid("The form does not say what the page showed. Nothing was done.")
        return require_standing(connection, *self.key, self.act.expected, notice=notice)

    def notice(self) -> int:
        """Return the notice that the person chose."""
        given = self.act.text("notice")
        if not _WHOLE.fullmatch(given):
            raise invalid("Choose a notice. Nothing was done.")
        return int(given)

    def back(self, message: str, tone: Tone = "good") -> Response:
        """Show the ticket again, with what was done."""
        return see_other(
            self.request, path_of("tickets", *self.key), message=as_sentence(message), tone=tone
        )


def read_ticket_act(
    request: Request,
    _user: Support,
    act: TheAct,
    console: TheConsole,
    now: TheNow,
    operator: PathId,
    ticket_id: PathId,
) -> TicketAct:
    """Return what is asked for; its route needs the role support."""
    return TicketAct(request, act, console, now, operator, ticket_id)


TheTicketAct = Annotated[TicketAct, Depends(read_ticket_act)]


@routes.post("/hold")
async def hold(ticket_act: TheTicketAct) -> Response:
    """Put the ticket on hold."""

    def change(connection: Connection) -> str:
        ticket_act.require_seen(connection)
        return did_hold(
            hold_ticket(connection, *ticket_act.key, person=ticket_act.person, now=ticket_act.now)
        )

    return ticket_act.back(await ticket_act.console.change(change))


@routes.post("/release")
async def release(ticket_act: TheTicketAct) -> Response:
    """Release the ticket."""

    def change(connection: Connection) -> str:
        ticket_act.require_seen(connection)
        return did_release(
            release_ticket(
                connection, *ticket_act.key, person=ticket_act.person, now=ticket_act.now
            )
        )

    return ticket_act.back(await ticket_act.console.change(change))


@routes.post("/resolve")
async def resolve(ticket_act: TheTicketAct) -> Response:
    """Retry or skip a dead notice."""
    notice = ticket_act.notice()
    try:
        resolution = Resolution(ticket_act.act.text("resolution"))
    except ValueError:
        raise invalid("Choose whether the partner has the notice. Nothing was done.") from None

    def change(connection: Connection) -> str:
        ticket_act.require_seen(connection, notice=notice)
        return did_resolve(
            resolve_dead(
                connection, notice, resolution, person=ticket_act.person, now=ticket_act.now
            )
        )

    return ticket_act.back(await ticket_act.console.change(change))


@routes.post("/send-again")
async def send_again(ticket_act: TheTicketAct) -> Response:
    """Send the ticket again from a notice on, now or by a job that waits."""
    notice = ticket_act.notice()

    def change(connection: Connection) -> SentAgain | Job:
        require_notice_of(connection, ticket_act.require_seen(connection), notice)
        return send_again_or_wait(connection, notice, person=ticket_act.person, now=ticket_act.now)

    done = await ticket_act.console.change(change)
    if isinstance(done, Job):
        message = (
            f"Something of ticket {ticket_act.ticket_id} of {ticket_act.operator} is undelivered or"
            " dead: this job sends it again once nothing is."
        )
        return see_other(ticket_act.request, path_of("jobs", done.id), message=message)
    left_out = "".join(f"; not {each.action}: {each.why}" for each in done.left_out)
    return ticket_act.back(did_send_again(done) + left_out)


@routes.post("/publish")
async def publish(ticket_act: TheTicketAct) -> Response:
    """Publish a result or a rollback by hand."""
    window = ticket_act.console.settings.parking_window

    def change(connection: Connection) -> PublishedEvent:
        ticket_act.require_seen(connection)
        statement = _statement(ticket_act.act, _own_amounts(connection, ticket_act))
        return publish_by_hand(
            connection,
            *ticket_act.key,
            statement,
            person=ticket_act.person,
            now=ticket_act.now,
            window=window,
        )

    event = await ticket_act.console.change(change)
    return ticket_act.back(
        did_publish(event), "good" if event.outcome == Outcome.APPLIED else "warning"
    )


def _own_amounts(connection: Connection, ticket_act: TicketAct) -> dict[str, Any]:
    """Return the ticket's amounts if the person wants empty fields filled with them."""
    if not ticket_act.act.text("fill"):
        return {}
    (history,) = load_histories(connection, ticket_act.ticket_id, operator=ticket_act.operator)
    details = history.ticket.details
    return {name: details[name] for name in MONEY_FIELDS if details.get(name) is not None}


def _statement(act: Act, facts: dict[str, Any]) -> Statement:
    action = act.text("action")
    if action not in set(BY_HAND):
        raise InvalidStatement("Choose what happened: a result, or a rollback.")
    for name in MONEY_FIELDS:
        if given := act.text(name):
            facts[name] = given if name == "ext_type" else _number(given)
    for name, field in (("currency", "currency"), ("reason", "partner_reason")):
        if given := act.text(field):
            facts[name] = given
    return Statement(
        Action(action),
        facts,
        correction=bool(act.text("correction")),
        event_id=act.text("event_id") or None,
    )


def _number(given: str) -> object:
    """Return the number that was written; anything else goes on as it is, and is refused there."""
    if _WHOLE.fullmatch(given):
        return int(given)
    return float(given) if _DECIMAL.fullmatch(given) else given


def as_sentence(message: str) -> str:
    """Return *message* with a capital letter and a full stop."""
    return f"{message[:1].upper()}{message[1:]}."
