"""Sends dead notices again, or skips them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from models.operators.interventions import Person
from models.outbox.dead_letters import NotPossible, Resolution
from models.triage import DeadNotice, FreedNotice, NoticeKey, choose_dead, find_dead, free_dead
from worker.cli.errors import WrongUsage
from worker.cli.output import remark
from worker.cli.triage.lists import last_answer
from worker.cli.triage.options import Choice, Teller
from worker.cli.triage.sentences import counted, did_free, outlook, will_free
from worker.cli.triage.session import Session, session
from worker.cli.triage.session import selection as selected
from worker.cli.triage.work import (
    Job,
    TriageReport,
    all_of_them,
    answer_to,
    ask,
    conclude,
    confirm,
    one_by_one,
)

_MANY = {
    Resolution.RETRY: "will be sent again, from now on and as often as new ones",
    Resolution.SKIP_DELIVERED: (
        "will count as delivered from now on; the closing times of the results among them that"
        " are in force begin"
    ),
    Resolution.SKIP_NOT_DELIVERED: (
        "will be skipped: the partner is never told, also where an attempt had no answer; a result"
        " takes its rollback along and starts no clock; rollbacks are left as they are"
    ),
}
_WORDS = {
    "--delivered": Resolution.SKIP_DELIVERED,
    "--not-delivered": Resolution.SKIP_NOT_DELIVERED,
}
_REHEARSED_MAX = 100  # of many, whose consequences are counted before


def free_notices(way: Resolution | None, choice: Choice, teller: Teller) -> None:
    """Take the chosen dead notices out of the way. Raises Failed unless all could be.

    Without a *way* they are to be skipped, and the person is asked for one of the two words, having
    seen what follows from each. Raises WrongUsage where neither is given: then nothing is changed.
    """
    choice.check()
    person = Person(teller.who, teller.why)
    with session() as desk:
        if choice.ids:
            report = _named_ones(desk, way, choice, person, as_json=teller.as_json)
            summary = None
        else:
            way, report = _all_that_fit(desk, way, choice, person)
            summary = f"{way.value}: {len(report.done):,}"
    conclude(report, got_through=lambda _: True, summary=summary, as_json=teller.as_json)


def _named_ones(
    desk: Session, way: Resolution | None, choice: Choice, person: Person, *, as_json: bool
) -> TriageReport[FreedNotice]:
    ways = {int(one): way or _asked_of_one(desk, int(one), person) for one in choice.ids}
    return one_by_one(
        desk,
        [_job(one, f"notice {one}", chosen, person) for one, chosen in ways.items()],
        will=lambda freed: [will_free(one) for one in freed],
        did=lambda freed: [did_free(one) for one in freed],
        sure=lambda: confirm(yes=choice.yes or way in {None, Resolution.RETRY}),
        as_json=as_json,
    )


def _all_that_fit(
    desk: Session, way: Resolution | None, choice: Choice, person: Person
) -> tuple[Resolution, TriageReport[FreedNotice]]:
    found = desk.do(
        lambda connection, now: choose_dead(
            connection, selected(choice, now), limit=choice.limit + 1
        )
    )
    chosen = found[: choice.limit]
    oldest = "the oldest: " if len(found) > choice.limit else ""
    which = oldest + counted((one.action for one in chosen), "dead notice")
    if way is None:
        way = _asked_of_many(desk, which, chosen, person)
    elif chosen:
        ask(f"{which} {_MANY[way]}{_outlook(desk, way, chosen, person)}", yes=choice.yes)
    return way, all_of_them(desk, [_job(one.id, _named(one), way, person) for one in chosen])


def _asked_of_one(desk: Session, notice_id: int, person: Person) -> Resolution:
    """Which word, having shown what follows from each. One that is not dead needs none."""
    try:
        notice = desk.do(lambda connection, _: find_dead(connection, notice_id)).notice
    except NotPossible:  # it is refused again, in the same words, when it is to be skipped
        return Resolution.SKIP_NOT_DELIVERED
    remark(_what_is_known(notice))
    for word, way in _WORDS.items():
        try:
            freed = desk.rehearse(_job(notice_id, "", way, person).act)
            remark(f"{word}: {'; '.join(map(will_free, freed))}")
        except NotPossible as refusal:
            remark(f"{word}: not possible: {refusal}")
    return _word()


def _asked_of_many(
    desk: Session, which: str, chosen: Sequence[NoticeKey], person: Person
) -> Resolution:
    for word, way in _WORDS.items():
        remark(f"{word}: {which} {_MANY[way]}{_outlook(desk, way, chosen, person)}")
    return _word()


def _word() -> Resolution:
    answer = answer_to("Which is true? [delivered/not-delivered] ")
    way = _WORDS.get(f"--{answer.lower().removeprefix('--')}")
    if way is None:
        raise WrongUsage(
            "nothing was changed: a skip needs one of two words, --delivered (the partner has it)"
            " or --not-delivered (it does not have it and never gets it); look first:"
            " `slipway notices dead show ID`, or ask the partner"
        )
    return way


def _what_is_known(notice: DeadNotice) -> str:
    said = f"notice {notice.id}, {notice.action} of ticket {notice.ticket_id} of {notice.operator}"
    said += f", is dead ({notice.reason or '-'}); last answer: {last_answer(notice)}"
    if notice.perhaps_delivered:
        said += "; an attempt had no answer, so the partner perhaps has it"
    return said


def _outlook(desk: Session, way: Resolution, chosen: Sequence[NoticeKey], person: Person) -> str:
    """What follows from *way* for the first of *chosen*, counted: done, and taken back."""
    freed: list[FreedNotice] = []
    refused: list[str] = []
    for one in chosen[:_REHEARSED_MAX]:
        try:
            freed += desk.rehearse(_job(one.id, _named(one), way, person).act)
        except NotPossible as refusal:
            refused.append(str(refusal))
    first = f"; of the first {_REHEARSED_MAX}" if len(chosen) > _REHEARSED_MAX else ""
    return first + outlook(freed, refused)


def _job(notice_id: int, name: str, way: Resolution, person: Person) -> Job[FreedNotice]:
    def act(connection: Connection, now: datetime) -> list[FreedNotice]:
        return [free_dead(connection, notice_id, way, now=now, person=person)]

    return Job(name, act)


def _named(one: NoticeKey) -> str:
    return f"notice {one.id}, {one.action} of ticket {one.ticket_id} of {one.operator}"
