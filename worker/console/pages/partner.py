"""One partner: how it is doing, its terms and its secret's age, and what a person may do."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from models.access.facts import describe_access, expiries
from models.audit import act_sentence
from models.monitoring.minutes import MINUTE, PartnerPlot, partner_plot
from models.monitoring.partners import PartnerNow, partner_now, partners_pulse
from models.operators import (
    OperatorChange,
    OperatorLine,
    disable_operator,
    enable_operator,
    show_operator,
)
from models.operators.access import AccessStatus, access_status
from models.operators.listing import latest_change
from models.operators.pings import PINGED
from models.operators.secret_status import SecretStatus, secret_status
from models.operators.words import format_term
from models.users import Role
from worker.console.addresses import PathId, path_of
from worker.console.console import TheConsole
from worker.console.display.personal import sees_personal
from worker.console.forms import TheAct
from worker.console.live import live_response
from worker.console.people import Operations, TheNow, Viewer
from worker.console.refusals import conflict
from worker.console.rendering import render, see_other
from worker.doctor.circuit_advice import advice_for

_POINTS_MAX: Final = 100  # of a line, so that the list under it can be read

routes = APIRouter()


class PlotRange(StrEnum):
    """How far back the lines go."""

    HOUR = "1h"
    QUARTER = "6h"
    DAY = "24h"
    TWO_DAYS = "48h"

    @property
    def length(self) -> timedelta:
        """The range as a duration."""
        return timedelta(hours=int(self.removesuffix("h")))


@dataclass(frozen=True, slots=True)
class PartnerFacts:
    """What the page shows of a partner."""

    now: PartnerNow
    operator: OperatorLine
    changes: tuple[OperatorChange, ...]
    secret: SecretStatus
    access: AccessStatus
    ping: OperatorChange | None
    plot: PartnerPlot


@dataclass(frozen=True, slots=True)
class PlotLine:
    """One step of the plots, as the list has it. None is not known."""

    at: datetime
    delivered: float | None  # per minute
    failed: int | None
    failure_rate: float | None  # in percent
    p99_ms: int | None


@routes.get("/partners/{code}")
async def partner(
    request: Request,
    user: Viewer,
    console: TheConsole,
    now: TheNow,
    code: PathId,
    span: PlotRange = PlotRange.HOUR,
) -> Response:
    """Show the partner."""
    facts = await console.read(lambda connection: _read(connection, code, span, now))
    cause = facts.now.circuit_cause
    return render(
        request,
        "partner.html",
        code=code,
        facts=facts,
        may_act=user.role.allows(Role.OPERATIONS) and facts.now.ended_at is None,
        sees_answers=sees_personal(user.role),
        terms=terms_lines(facts.operator),
        advice=None if cause is None else advice_for(cause, code),
        lines=plot_lines(facts.plot),
        span=span,
        spans=PlotRange,
        act_sentence=act_sentence,
        describe_access=describe_access,
        expiries=expiries,
        series=_series,
    )


@routes.get("/partners/{code}/live")
async def live(request: Request, user: Viewer, code: PathId) -> Response:
    """Say when the partner's page has changed."""
    return live_response(request, user, lambda connection: partners_pulse(connection, code))


@routes.post("/partners/{code}/disable")
async def disable(
    request: Request, _user: Operations, act: TheAct, console: TheConsole, now: TheNow, code: PathId
) -> Response:
    """Hold the partner's notices."""

    def change(connection: Connection) -> None:
        if not disable_operator(connection, code, now=now, person=act.person):
            raise conflict(f"{code} has been disabled meanwhile. Nothing was done.")

    await console.change(change)
    message = f"{code} is disabled: its notices are held until it is enabled again."
    return see_other(request, path_of("partners", code), message=message)


@routes.post("/partners/{code}/enable")
async def enable(
    request: Request, _user: Operations, act: TheAct, console: TheConsole, now: TheNow, code: PathId
) -> Response:
    """Send the partner's notices again."""

    def change(connection: Connection) -> None:
        if not enable_operator(connection, code, now=now, person=act.person):
            raise conflict(f"{code} has been enabled meanwhile. Nothing was done.")

    await console.change(change)
    message = f"{code} is enabled: its notices are sent, in order and within its rate."
    return see_other(request, path_of("partners", code), message=message)


def _read(connection: Connection, code: str, span: PlotRange, now: datetime) -> PartnerFacts:
    page = show_operator(connection, code)
    return PartnerFacts(
        now=partner_now(connection, code, now=now),
        operator=page.operator,
        changes=page.changes,
        secret=secret_status(connection, code, now=now),
        access=access_status(connection, code, now=now),
        ping=latest_change(connection, code, PINGED),
        plot=partner_plot(
            connection, code, since=now - span.length, until=now, points_max=_POINTS_MAX
        ),
    )


DELIVERY_LABELS: Final = {
    "user_agent": "User agent",
    "timeout": "Timeout of a call",
    "retry_schedule": "Pauses between attempts",
    "retry_limit": "Retry limit",
    "taken": "Statuses that count as taken",
    "create_taken": "Statuses that take a create",
    "success_json": "A success must be JSON",
    "success_text": "A success must hold",
    "wants": "Actions it wants",
    "pass_trace": "Calls carry a header traceparent",
    "keep_bodies": "Bodies are kept after a ticket's end",
}


def terms_lines(operator: OperatorLine) -> list[tuple[str, str]]:
    """Return the operator's terms as labels and texts."""
    is_wallet = operator.protocol == "seamless"
    lines: list[tuple[str, object, bool]] = [
        ("Protocol", operator.protocol, True),
        ("URL", operator.url, True),
        ("Agent, the wallet's name for us", operator.agent, is_wallet),
        ("Calls are signed", operator.sign_calls, is_wallet),
        ("Close delay", operator.close_delay, True),
        ("Rate limit", operator.rate, operator.rate is not None),
        ("Rate limit", "no limit", operator.rate is None),
        ("Calls at the same time", operator.in_flight, True),
        ("Results wait for their ticket", operator.announces_tickets, True),
        ("One ticket of the lottery is", operator.lottery_ticket, True),
        ("Time zone", operator.timezone, True),
    ]
    lines += [
        (label, getattr(operator, name), True)
        for name, label in DELIVERY_LABELS.items()
        if getattr(operator, name)
    ]
    return [(label, format_term(term)) for label, term, applies in lines if applies]


def plot_lines(plot: PartnerPlot) -> list[PlotLine]:
    """Return the plot's points as the lines show them."""
    minutes = plot.step / MINUTE
    lines = []
    for point in plot.points:
        if point.delivered is None or point.failed is None:
            lines.append(PlotLine(point.at, None, None, None, None))
            continue
        attempts = point.delivered + point.failed
        rate = round(100 * point.failed / attempts, 2) if attempts else None
        per_minute = round(point.delivered / minutes, 2)
        lines.append(PlotLine(point.at, per_minute, point.failed, rate, point.p99_ms))
    return lines


def _series(lines: list[PlotLine], name: str, label: str, unit: str) -> dict[str, Any]:
    """Return one line of the plots as the chart takes it."""
    values = [getattr(line, name) for line in lines]
    return {
        "x": [int(line.at.timestamp()) for line in lines],
        "lines": [{"label": label, "values": values, "unit": unit}],
    }
