"""`/partners`: who they are, how deliveries to them go, and what operations do with one."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from sqlalchemy import Connection

from models.monitoring.minutes import PartnerPlot, partner_plot
from models.monitoring.operators import OperatorHealth, operator_health
from models.operators.listing import OperatorPage, show_operator
from models.operators.secret_status import SecretStatus, secret_status
from models.platform.errors import InvalidError
from worker.console.addresses import PathId
from worker.console.api.answers import ApiPage, answer, answer_page
from worker.console.api.authentication import ApiNow, TokenFirst, ViewerToken
from worker.console.api.openapi import reads
from worker.console.api.times import GivenTime
from worker.console.console import TheConsole
from worker.doctor.circuit_advice import advice_for

_PLOT: Final = timedelta(hours=1)  # unless a range is given
_PLOT_MAX: Final = timedelta(hours=48)

routes = APIRouter(tags=["partners"], route_class=TokenFirst)


@dataclass(frozen=True, slots=True)
class PartnerDetails:
    """A partner's terms with their latest changes, its health, its circuit and its secret's age."""

    operator: OperatorPage
    health: OperatorHealth
    circuit_advice: str | None
    secret_status: SecretStatus


@routes.get("/partners", response_model=ApiPage[OperatorHealth], responses=reads())
async def partners(holder: ViewerToken, console: TheConsole, now: ApiNow) -> JSONResponse:
    """List the partners with their circuits and figures; those whose partnership ended are not.

    There is one page.
    """
    lines = await console.read(lambda connection: operator_health(connection, now=now))
    return answer_page(holder, lines, None)


@routes.get("/partners/{code}", response_model=PartnerDetails, responses=reads())
async def partner(
    holder: ViewerToken, console: TheConsole, now: ApiNow, code: PathId
) -> JSONResponse:
    """Show a partner: terms, circuit with its reason and advice, figures, latest changes."""

    def load(connection: Connection) -> PartnerDetails:
        page = show_operator(connection, code)
        (health,) = operator_health(connection, now=now, code=code)
        cause = health.circuit_cause
        advice = None if cause is None else advice_for(cause, code)
        return PartnerDetails(page, health, advice, secret_status(connection, code, now=now))

    return answer(holder, await console.read(load))


@routes.get("/partners/{code}/plot", response_model=PartnerPlot, responses=reads())
async def plot(
    holder: ViewerToken,
    console: TheConsole,
    now: ApiNow,
    code: PathId,
    since: Annotated[GivenTime | None, Query(description="An hour ago, if not given.")] = None,
    until: Annotated[GivenTime | None, Query(description="Now, if not given.")] = None,
    points: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 300,
) -> JSONResponse:
    """Return a partner's attempts by the minute, of at most 48 hours."""
    end = until or now
    try:
        begin = since or end - _PLOT
        if begin >= end:
            raise InvalidError("since must be before until")
        longest = max(begin, end - _PLOT_MAX)
    except OverflowError:
        raise InvalidError("since and until must be times of this era") from None
    result = await console.read(
        lambda connection: partner_plot(
            connection, code, since=longest, until=end, points_max=points
        )
    )
    return answer(holder, result)
