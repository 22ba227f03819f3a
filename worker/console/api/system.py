"""`/system`: how the whole is doing."""

from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from sqlalchemy import Connection

from models.jobs import JobState, list_jobs
from models.monitoring.closings import ClosingsAhead, closings_ahead
from models.monitoring.stats import Stats, collect_stats
from worker.console.api.answers import answer
from worker.console.api.authentication import ApiNow, TokenFirst, ViewerToken
from worker.console.api.openapi import reads
from worker.console.console import TheConsole
from worker.console.system_watch import Look, TheWatch
from worker.doctor.finding import Finding

routes = APIRouter(tags=["system"], route_class=TokenFirst)


@dataclass(frozen=True, slots=True)
class SystemChecks:
    """What `slipway doctor` finds. It is looked at twice a minute at most: *checked_at*."""

    checked_at: datetime | None  # None: the first look is not done yet; ask again
    findings: tuple[Finding, ...]
    failure: str | None  # why there are no findings, although it was looked


@dataclass(frozen=True, slots=True)
class SystemFigures:
    """What the database knows, and what the checks find.

    *closings*: those due in the next 24 hours, by the quarter hour.
    """

    at: datetime
    stats: Stats
    closings: ClosingsAhead | None
    unended_jobs: int  # counted up to 1,000
    checks: SystemChecks


@routes.get("/system", response_model=SystemFigures, responses=reads())
async def system(
    holder: ViewerToken, console: TheConsole, watch: TheWatch, now: ApiNow
) -> JSONResponse:
    """Show what is due, late, parked and dead, the closings ahead, and what `doctor` finds.

    The checks wait for 3 seconds at most; then the last ones are shown.
    """
    look = await watch.checks.look_within(console.limits.check_wait)

    def load(connection: Connection) -> SystemFigures:
        return SystemFigures(
            at=now,
            stats=collect_stats(connection, now=now),
            closings=closings_ahead(connection),
            unended_jobs=len(
                list_jobs(connection, states=[JobState.WAITING, JobState.RUNNING], limit=1000)
            ),
            checks=_checks(look, now),
        )

    return answer(holder, await console.read(load))


def _checks(look: Look[tuple[Finding, ...]] | None, now: datetime) -> SystemChecks:
    if look is None:
        return SystemChecks(None, (), None)
    return SystemChecks(now - look.age, look.result or (), look.problem)
