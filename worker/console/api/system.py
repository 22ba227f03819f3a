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
from worker.console.api.authentication import ApiNow, ViewerToken
from worker.console.api.openapi import reads
from worker.console.console import TheConsole

routes = APIRouter(tags=["system"])


@dataclass(frozen=True, slots=True)
class SystemFigures:
    """What the database knows. *closings*: those due in the next 24 hours, by the quarter hour."""

    at: datetime
    stats: Stats
    closings: ClosingsAhead | None
    unended_jobs: int  # counted up to 1,000


@routes.get("/system", response_model=SystemFigures, responses=reads())
async def system(holder: ViewerToken, console: TheConsole, now: ApiNow) -> JSONResponse:
    """Show what is due, late, parked and dead, the sweep's last round and the closings ahead."""

    def load(connection: Connection) -> SystemFigures:
        return SystemFigures(
            at=now,
            stats=collect_stats(connection, now=now),
            closings=closings_ahead(connection),
            unended_jobs=len(
                list_jobs(connection, states=[JobState.WAITING, JobState.RUNNING], limit=1000)
            ),
        )

    return answer(holder, await console.read(load))
