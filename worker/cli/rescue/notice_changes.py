"""Sends dead notices again, or skips them."""

from datetime import datetime

from sqlalchemy import Connection

from models.interventions import Person
from models.outbox.dead import WayOut
from models.rescue import FreedNotice, NoticeKey, choose_dead, free_dead
from worker.cli.rescue.options import Choice, Teller
from worker.cli.rescue.sentences import counted, did_free, will_free
from worker.cli.rescue.session import selection as selected
from worker.cli.rescue.session import session
from worker.cli.rescue.work import Job, all_of_them, ask, conclude, one_by_one

_MANY = {
    WayOut.RETRY: "will be sent again, from now on and as often as new ones",
    WayOut.SKIP_DELIVERED: (
        "will count as delivered from now on; the closing times of the results among them that"
        " are in force begin"
    ),
    WayOut.SKIP: (
        "will be skipped: the partner is never told; a result takes its rollback along and starts"
        " no clock; rollbacks, and what was perhaps delivered, are left as they are"
    ),
    WayOut.SKIP_NOT_DELIVERED: (
        "will be skipped: the partner is never told, also where an attempt had no answer; a result"
        " takes its rollback along and starts no clock; rollbacks are left as they are"
    ),
}


def free_notices(way: WayOut, choice: Choice, teller: Teller) -> None:
    """Take the chosen dead notices out of the way. Raises Failed unless all could be."""
    choice.check()
    person = Person(teller.who, teller.why)
    with session() as desk:
        if choice.ids:
            jobs = [_job(int(one), f"notice {one}", way, person) for one in choice.ids]
            report = one_by_one(
                desk,
                jobs,
                will=lambda freed: [will_free(one) for one in freed],
                did=lambda freed: [did_free(one) for one in freed],
                as_json=teller.as_json,
            )
        else:
            found = desk.do(
                lambda connection, now: choose_dead(
                    connection, selected(choice, now), limit=choice.limit + 1
                )
            )
            chosen = found[: choice.limit]
            if chosen:
                oldest = "the oldest: " if len(found) > choice.limit else ""
                dead = counted((one.action for one in chosen), "dead notice")
                ask(f"{oldest}{dead} {_MANY[way]}", yes=choice.yes)
            report = all_of_them(desk, [_job(one.id, _named(one), way, person) for one in chosen])
    summary = None if choice.ids else f"{way.value}: {len(report.done):,}"
    conclude(report, got_through=lambda _: True, summary=summary, as_json=teller.as_json)


def _job(notice_id: int, name: str, way: WayOut, person: Person) -> Job[FreedNotice]:
    def act(connection: Connection, now: datetime) -> list[FreedNotice]:
        return [free_dead(connection, notice_id, way, now=now, person=person)]

    return Job(name, act)


def _named(one: NoticeKey) -> str:
    return f"notice {one.id}, {one.action} of ticket {one.ticket_id} of {one.operator}"
