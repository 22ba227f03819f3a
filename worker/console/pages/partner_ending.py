"""Ends the partnership with a partner, for good: counts first, then the code as confirmation."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import Response

from models.jobs import end_partnership
from models.partnerships.announcement import announcement
from models.partnerships.counts import PartnershipCounts
from models.partnerships.end import preview_end
from worker.console.addresses import PathId, path_of
from worker.console.console import TheConsole
from worker.console.forms import Act, TheAct
from worker.console.people import Operations, TheNow
from worker.console.rendering import render, see_other

routes = APIRouter()


@routes.get("/partners/{code}/end")
async def preview(
    request: Request, _user: Operations, console: TheConsole, now: TheNow, code: PathId
) -> Response:
    """Say what the end would end, and ask for the code."""
    counts = await console.read(lambda connection: preview_end(connection, code, now=now))
    return _form(request, code, counts)


@routes.post("/partners/{code}/end")
async def end(
    request: Request, _user: Operations, act: TheAct, console: TheConsole, now: TheNow, code: PathId
) -> Response:
    """End the partnership, and lead to the job that ends its tickets."""
    typed = act.text("confirm")
    if typed != code:
        counts = await console.read(lambda connection: preview_end(connection, code, now=now))
        wrong = "Type the code here." if not typed else "This is another code."
        problems = {"confirm": f"{wrong} Nothing was done."}
        return _form(request, code, counts, problems=problems, act=act)
    ended = await console.change(
        lambda connection: end_partnership(connection, code, person=act.person, now=now)
    )
    message = (
        f"The partnership with {code} has ended: nothing more is sent or accepted."
        f" This job ends its tickets ({ended.job.expected})."
    )
    return see_other(request, path_of("jobs", ended.job.id), message=message)


def _form(
    request: Request,
    code: str,
    counts: PartnershipCounts,
    *,
    problems: Mapping[str, str] | None = None,
    act: Act | None = None,
) -> Response:
    return render(
        request,
        "partner_end.html",
        status=HTTPStatus.OK if act is None else HTTPStatus.UNPROCESSABLE_ENTITY,
        code=code,
        sentences=announcement(code, counts),
        in_flight=counts.in_flight,
        problems=problems or {},
        reason="" if act is None else act.person.why,
    )
