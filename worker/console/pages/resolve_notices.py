"""Resolves dead notices: those that were ticked, or all that match a filter, as a job.

The first page counts and changes nothing; it can be reloaded and sent to a colleague. What it
showed goes along: a notice that has changed since then is left as it is, and that is said.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from models.jobs import BoundedCount, Job, count_job, start_job
from models.outbox.dead_letters import Resolution
from models.platform.timestamps import format_timestamp
from models.triage import (
    WILL_RESOLVE_MANY,
    ListedNotice,
    ResolvedTogether,
    notices_by_id,
    resolve_together,
)
from models.users import Role, SignedInUser
from models.vocabulary import NoticeEnd
from worker.console.addresses import path_of
from worker.console.console import TheConsole
from worker.console.filters import read_time, read_word
from worker.console.flash import Tone
from worker.console.forms import Act, TheAct
from worker.console.pages.notice_filter import NoticeFilter, TheFilter
from worker.console.people import Support, TheNow
from worker.console.refusals import PageRefused, invalid
from worker.console.rendering import render, see_other

AT_ONCE_MAX: Final = 25  # notices; more are a job
CHOSEN_MAX: Final = 1000
PACE_MAX: Final = 10_000

routes = APIRouter()


class NoticeAct(StrEnum):
    """What a person wants to do."""

    RETRY = "retry"
    SKIP = "skip"


class SkipWay(StrEnum):
    """The words of a skip (rule 18): whether the partner has it."""

    DELIVERED = "delivered"
    NOT_DELIVERED = "not_delivered"


@dataclass(frozen=True, slots=True)
class NoticeChoice:
    """Which notices: *ids*, or all that match the filter."""

    ids: Sequence[int]
    everything: bool
    chosen: NoticeFilter

    @classmethod
    def read(
        cls, ids: Sequence[str], everything: str | None, chosen: NoticeFilter, user: SignedInUser
    ) -> "NoticeChoice":
        """Read it. Raises PageRefused: 403 if it needs operations, 422 if nothing is chosen."""
        if everything:
            if not user.role.allows(Role.OPERATIONS):
                raise PageRefused(
                    HTTPStatus.FORBIDDEN,
                    "Not allowed",
                    "All that match needs the role operations; your role may resolve those that"
                    " you tick. Nothing was done.",
                )
            return cls((), everything=True, chosen=chosen)
        if not ids:
            raise invalid("No notice was ticked. Nothing was done: go back and tick some.")
        if len(ids) > CHOSEN_MAX or not all(_is_id(text) for text in ids):
            raise invalid(f"The notices are at most {CHOSEN_MAX:,} numbers. Nothing was done.")
        return cls(list(dict.fromkeys(map(int, ids))), everything=False, chosen=chosen)

    def arguments(self, seen_at: datetime, way: Mapping[str, bool]) -> dict[str, Any]:
        """Return a job's arguments: nothing that died after the person saw the count."""
        if not self.everything:
            return {"ids": list(self.ids), **way}
        until = self.chosen.selection.until
        end = seen_at if until is None else min(until, seen_at)
        return {**self.chosen.selection.arguments, "until": format_timestamp(end), **way}


@routes.get("/notices/resolve")
async def ask(
    request: Request, user: Support, console: TheConsole, chosen: TheFilter, now: TheNow
) -> Response:
    """Show how many notices it concerns and what will happen, and ask for the reason."""
    query = request.query_params
    act = read_word("Act", query.get("act"), NoticeAct) or NoticeAct.RETRY
    choice = NoticeChoice.read(query.getlist("id"), query.get("all"), chosen, user)

    def read(connection: Connection) -> tuple[BoundedCount, Sequence[ListedNotice]]:
        if choice.everything:
            arguments = choice.arguments(now, {})
            return count_job(connection, "retry_notices", arguments, now=now), ()
        listed = notices_by_id(connection, choice.ids)
        dead = sum(notice.ended == NoticeEnd.DEAD for notice in listed)
        return BoundedCount(dead), listed

    count, listed = await console.read(read)
    return render(
        request,
        "notices_resolve.html",
        act=act,
        choice=choice,
        count=count,
        listed=listed,
        query=chosen.query,
        as_job=choice.everything or len(choice.ids) > AT_ONCE_MAX,
        seen_at=format_timestamp(now, "microseconds"),
        key=secrets.token_urlsafe(16),
        texts={resolution.name.lower(): text for resolution, text in WILL_RESOLVE_MANY.items()},
        pace_max=PACE_MAX,
    )


@routes.post("/notices/resolve")
async def resolve(
    request: Request, user: Support, console: TheConsole, act: TheAct, now: TheNow
) -> Response:
    """Resolve the ticked notices, or start the job that resolves them."""
    chosen = NoticeFilter.read(dict(act.form), user, now)
    choice = NoticeChoice.read(act.texts("id"), act.text("all"), chosen, user)
    resolution = _resolution(act)
    seen_at = read_time("The time of the page", act.text("seen_at"), now)
    if seen_at is None or seen_at > now:
        raise invalid("The form is incomplete. Nothing was done: open the page again.")
    if choice.everything or len(choice.ids) > AT_ONCE_MAX:
        job = await console.change(
            lambda connection: _start(connection, act, choice, resolution, seen_at, now)
        )
        message = f"Job {job.id} has begun: {job.expected} dead notices."
        return see_other(request, path_of("jobs", job.id), message=message)
    together = await console.change(
        lambda connection: resolve_together(
            connection, choice.ids, resolution, now=now, person=act.person, dead_until=seen_at
        )
    )
    tone, message = _outcome(resolution, together)
    back = path_of("notices", query=chosen.query)
    return see_other(request, back, message=message, tone=tone)


def _start(
    connection: Connection,
    act: Act,
    choice: NoticeChoice,
    resolution: Resolution,
    seen_at: datetime,
    now: datetime,
) -> Job:
    """Start the job; the same form sent twice starts it once."""
    kind, way = "retry_notices", {}
    if resolution is not Resolution.RETRY:
        kind, way = "skip_notices", {"delivered": resolution is Resolution.SKIP_DELIVERED}
    return start_job(
        connection,
        kind,
        choice.arguments(seen_at, way),
        person=act.person,
        now=now,
        pace=_pace(act),
        key=act.text("key")[:255] or None,
    )


def _resolution(act: Act) -> Resolution:
    match read_word("Act", act.text("act"), NoticeAct):
        case NoticeAct.RETRY:
            return Resolution.RETRY
        case NoticeAct.SKIP:
            pass
        case None:
            raise invalid("The form does not say what to do. Nothing was done.")
    match read_word("What is true", act.text("way"), SkipWay):
        case SkipWay.DELIVERED:
            return Resolution.SKIP_DELIVERED
        case SkipWay.NOT_DELIVERED:
            return Resolution.SKIP_NOT_DELIVERED
        case None:
            raise invalid("Say whether the partner has these notices. Nothing was done.")


def _pace(act: Act) -> float | None:
    text = act.text("pace")
    if not text:
        return None
    try:
        pace = float(text)
    except ValueError:
        pace = 0
    if not 0 < pace <= PACE_MAX:
        raise invalid(f"The pace is a number of notices per second, up to {PACE_MAX:,}.")
    return pace


def _outcome(resolution: Resolution, together: ResolvedTogether) -> tuple[Tone, str]:
    """Say exactly what happened."""
    did = {
        Resolution.RETRY: ("is due again now", "are due again now"),
        Resolution.SKIP_DELIVERED: ("counts as delivered", "count as delivered"),
        Resolution.SKIP_NOT_DELIVERED: ("was skipped", "were skipped"),
        Resolution.SKIP_REPEAT: ("was skipped", "were skipped"),
    }[resolution]
    parts = [f"{_many(together.resolved)} {did[together.resolved != 1]}."]
    if together.unchanged:
        parts.append(
            f"{_many(together.unchanged)} left as it is: no longer dead, or dead again since you"
            " opened the page."
        )
    parts += [
        f"Not possible for {_many(count)}: {reason}." for reason, count in together.refused.items()
    ]
    everything = not together.unchanged and not together.refused
    return ("good" if everything else "warning"), " ".join(parts)


def _many(number: int) -> str:
    return "1 notice" if number == 1 else f"{number:,} notices"


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= len(str(2**62)) and int(text) > 0
