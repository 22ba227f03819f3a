"""Sends a partner again what it took between two times: counted first, then a job."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from secrets import token_urlsafe
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from models.jobs import BoundedCount, Job, count_job, start_job
from models.jobs.kinds.send_operator_again import SEND_OPERATOR_AGAIN
from models.operators.listing import show_changeable
from models.platform.errors import InvalidError
from models.platform.timestamps import format_timestamp
from models.platform.typed_times import parse_past, parse_rate
from worker.console.addresses import PathId, path_of
from worker.console.console import TheConsole
from worker.console.forms import TheAct
from worker.console.people import Operations, TheNow
from worker.console.refusals import invalid
from worker.console.rendering import render, see_other

_NOW: Final = "0s"
_TYPED_MAX: Final = 100

Typed = Annotated[str, Query(max_length=_TYPED_MAX)]
routes = APIRouter()


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the person chose: the job's arguments and pace, or what is wrong with the fields."""

    arguments: Mapping[str, str]
    pace: float | None
    problems: Mapping[str, str]


@routes.get("/partners/{code}/send-again")
async def choose(
    request: Request,
    _user: Operations,
    console: TheConsole,
    now: TheNow,
    code: PathId,
    since: Typed = "",
    until: Typed = "",
    pace: Typed = "",
) -> Response:
    """Show the form, and how many tickets are meant once the times are chosen."""
    texts = {"since": since.strip(), "until": until.strip(), "pace": pace.strip()}
    chosen = _read(code, texts, now)
    problems = dict(chosen.problems)
    counted: BoundedCount | None = None

    def count(connection: Connection) -> BoundedCount | None:
        show_changeable(connection, code)
        if not texts["since"] or problems:
            return None
        return count_job(connection, SEND_OPERATOR_AGAIN.name, chosen.arguments, now=now)

    try:
        counted = await console.read(count)
    except InvalidError as refusal:
        problems["since"] = str(refusal)
    return render(
        request,
        "partner_send_again.html",
        status=422 if problems else 200,
        code=code,
        texts=texts,
        problems=problems,
        arguments=chosen.arguments,
        count=counted,
        key=token_urlsafe(16),
    )


@routes.post("/partners/{code}/send-again")
async def send_again(
    request: Request, _user: Operations, act: TheAct, console: TheConsole, now: TheNow, code: PathId
) -> Response:
    """Start the job for the times that were counted; the same form sent twice starts one."""
    texts = {name: act.text(name) for name in ("since", "until", "pace")}
    chosen = _read(code, texts, now)
    if chosen.problems or not chosen.arguments:
        problem = "; ".join(chosen.problems.values()) or "Choose a time"
        raise invalid(f"{problem}. Nothing was done.")

    def start(connection: Connection) -> Job:
        return start_job(
            connection,
            SEND_OPERATOR_AGAIN.name,
            chosen.arguments,
            person=act.person,
            now=now,
            pace=chosen.pace,
            key=act.text("key") or None,
        )

    job = await console.change(start)
    message = f"Job {job.id} has started: it sends {job.expected} tickets of {code} again."
    return see_other(request, path_of("jobs", job.id), message=message)


def _read(code: str, texts: Mapping[str, str], now: datetime) -> Chosen:
    """Read the fields; times that are relative are those of *now*, to the second."""
    now = now.replace(microsecond=0)
    problems: dict[str, str] = {}
    arguments: dict[str, str] = {}
    if texts["since"]:
        for name, text in (("since", texts["since"]), ("until", texts["until"] or _NOW)):
            try:
                arguments[name] = format_timestamp(parse_past(text).time(now))
            except OverflowError:
                problems[name] = "this is too long ago"
            except ValueError as refusal:
                problems[name] = str(refusal)
        arguments["operator"] = code
    pace: float | None = None
    if texts["pace"]:
        try:
            pace = parse_rate(texts["pace"])
        except ValueError as refusal:
            problems["pace"] = str(refusal)
    return Chosen(arguments, pace, problems)
