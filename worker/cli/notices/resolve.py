"""Sends dead notices again, or skips them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from models.operators.interventions import Person
from models.outbox.dead_letters import NotPossible, Resolution
from models.triage import (
    WILL_RESOLVE_MANY,
    DeadNotice,
    NoticeKey,
    ResolvedNotice,
    choose_dead,
    find_dead,
    resolve_dead,
)
from models.triage.sentences import did_resolve, will_resolve
from worker.cli.errors import WrongUsage
from worker.cli.notices.pages import last_response
from worker.cli.notices.sentences import outlook
from worker.cli.output import remark
from worker.cli.triage.display import counted
from worker.cli.triage.options import ChangeOptions, SelectionOptions
from worker.cli.triage.report import (
    OneChange,
    TriageReport,
    conclude,
    confirm_many,
    confirm_one,
    prompt,
    run_all,
    run_named,
)
from worker.cli.triage.session import CommandSession, open_session, selection_at

_SKIPS = {
    "--delivered": Resolution.SKIP_DELIVERED,
    "--not-delivered": Resolution.SKIP_NOT_DELIVERED,
}
_REHEARSED_MAX = 100  # notices of a selection whose consequences are counted beforehand


def retry(ids: Sequence[int], selection: SelectionOptions, change: ChangeOptions) -> None:
    """Send the selected dead notices again. Raises Failed unless all of them could be resolved."""
    _resolve(Resolution.RETRY, ids, selection, change)


def skip(
    ids: Sequence[int],
    selection: SelectionOptions,
    change: ChangeOptions,
    *,
    delivered: bool | None,
) -> None:
    """Skip the selected dead notices, as delivered or not; if *delivered* is None, this asks.

    Raises Failed unless all of them could be resolved.
    """
    resolution = None
    if delivered is not None:
        resolution = Resolution.SKIP_DELIVERED if delivered else Resolution.SKIP_NOT_DELIVERED
    _resolve(resolution, ids, selection, change)


def _resolve(
    resolution: Resolution | None,
    ids: Sequence[int],
    selection: SelectionOptions,
    change: ChangeOptions,
) -> None:
    """Resolve the selected dead notices. Raises Failed unless all of them could be resolved.

    Without a *resolution* they are to be skipped: this shows what follows from either skip and
    asks for one. Raises WrongUsage if none is given; then nothing is changed.
    """
    selection.check(ids)
    person = Person(change.who, change.why)
    with open_session() as session:
        if ids:
            report = _resolve_named(session, resolution, ids, change, person)
            summary = None
        else:
            resolution, report = _resolve_matching(session, resolution, selection, change, person)
            summary = f"{_command(resolution)}: {len(report.done):,}"
    conclude(report, got_through=lambda _: True, summary=summary, as_json=change.as_json)


def _resolve_named(
    session: CommandSession,
    resolution: Resolution | None,
    ids: Sequence[int],
    change: ChangeOptions,
    person: Person,
) -> TriageReport[ResolvedNotice]:
    resolutions = {
        notice_id: resolution or _ask_about_one(session, notice_id, person) for notice_id in ids
    }
    return run_named(
        session,
        [
            _change(notice_id, f"notice {notice_id}", chosen, person)
            for notice_id, chosen in resolutions.items()
        ],
        announce=lambda resolved: list(map(will_resolve, resolved)),
        describe=lambda resolved: list(map(did_resolve, resolved)),
        confirm=lambda: confirm_one(yes=change.yes or resolution in {None, Resolution.RETRY}),
        as_json=change.as_json,
    )


def _resolve_matching(
    session: CommandSession,
    resolution: Resolution | None,
    options: SelectionOptions,
    change: ChangeOptions,
    person: Person,
) -> tuple[Resolution, TriageReport[ResolvedNotice]]:
    matching = session.run(
        lambda connection, now: choose_dead(
            connection, selection_at(options, now), limit=options.limit + 1
        )
    )
    chosen = matching[: options.limit]
    oldest = "the oldest: " if len(matching) > options.limit else ""
    which = oldest + counted((notice.action for notice in chosen), "dead notice")
    if resolution is None:
        resolution = _ask_about_many(session, which, chosen, person)
    elif chosen:
        outlook_of = _outlook(session, resolution, chosen, person)
        announcement = f"{which} {WILL_RESOLVE_MANY[resolution]}{outlook_of}"
        confirm_many(announcement, yes=change.yes)
    changes = [_change(notice.id, _name(notice), resolution, person) for notice in chosen]
    return resolution, run_all(session, changes)


def _ask_about_one(session: CommandSession, notice_id: int, person: Person) -> Resolution:
    """Ask how to skip a notice, having shown what follows from either; one not dead needs none."""
    try:
        notice = session.run(lambda connection, _: find_dead(connection, notice_id)).notice
    except NotPossible:  # the skip itself is refused for the same reason
        return Resolution.SKIP_NOT_DELIVERED
    if notice.repeat:
        return Resolution.SKIP_REPEAT
    remark(_state(notice))
    for option, resolution in _SKIPS.items():
        try:
            resolved = session.rehearse(_change(notice_id, "", resolution, person).work)
            remark(f"{option}: {'; '.join(map(will_resolve, resolved))}")
        except NotPossible as refusal:
            remark(f"{option}: not possible: {refusal}")
    return _ask()


def _ask_about_many(
    session: CommandSession, which: str, chosen: Sequence[NoticeKey], person: Person
) -> Resolution:
    if chosen and all(notice.repeat for notice in chosen):
        return Resolution.SKIP_REPEAT
    for option, resolution in _SKIPS.items():
        outlook_of = _outlook(session, resolution, chosen, person)
        remark(f"{option}: {which} {WILL_RESOLVE_MANY[resolution]}{outlook_of}")
    return _ask()


def _ask() -> Resolution:
    answer = prompt("Which is true? [delivered/not-delivered] ")
    resolution = _SKIPS.get(f"--{answer.lower().removeprefix('--')}")
    if resolution is None:
        raise WrongUsage(
            "nothing was changed: a skip needs --delivered (the partner has it) or --not-delivered"
            " (it does not have it and never gets it); check first: `slipway notices dead show ID`,"
            " or ask the partner"
        )
    return resolution


def _command(resolution: Resolution) -> str:
    """Return the words of the command that makes this resolution."""
    options = [option for option, skip in _SKIPS.items() if skip is resolution]
    if resolution is Resolution.RETRY:
        return "retry"
    return " ".join(["skip", *options])


def _state(notice: DeadNotice) -> str:
    state = (
        f"notice {notice.id}, {notice.action} of ticket {notice.ticket_id} of {notice.operator},"
        f" is dead ({notice.reason or '-'}); last response: {last_response(notice)}"
    )
    if notice.perhaps_delivered:
        state += "; an attempt had no response, so the partner may have it"
    return state


def _outlook(
    session: CommandSession, resolution: Resolution, chosen: Sequence[NoticeKey], person: Person
) -> str:
    """Describe what follows for the first of *chosen*: it is rehearsed and counted."""
    resolved: list[ResolvedNotice] = []
    refusals: list[str] = []
    for notice in chosen[:_REHEARSED_MAX]:
        try:
            resolved += session.rehearse(_change(notice.id, _name(notice), resolution, person).work)
        except NotPossible as refusal:
            refusals.append(str(refusal))
    first = f"; of the first {_REHEARSED_MAX}" if len(chosen) > _REHEARSED_MAX else ""
    return first + outlook(resolved, refusals)


def _change(
    notice_id: int, name: str, resolution: Resolution, person: Person
) -> OneChange[ResolvedNotice]:
    def work(connection: Connection, now: datetime) -> list[ResolvedNotice]:
        try:
            return [resolve_dead(connection, notice_id, resolution, now=now, person=person)]
        except NotPossible as refusal:
            raise NotPossible(f"{refusal}{_advice(refusal)}") from None

    return OneChange(name, work)


def _advice(refusal: NotPossible) -> str:
    """Return what to do instead of what was refused."""
    if refusal.instead == (Resolution.SKIP_DELIVERED,):
        return "; then skip it with --delivered"
    if refusal.instead == (Resolution.SKIP_DELIVERED, Resolution.SKIP_NOT_DELIVERED):
        return " (--delivered) or not (--not-delivered)"
    if refusal.instead:
        return "; retry it, or skip it with --delivered once the partner has taken the result back"
    return ""


def _name(notice: NoticeKey) -> str:
    return f"notice {notice.id}, {notice.action} of ticket {notice.ticket_id} of {notice.operator}"
