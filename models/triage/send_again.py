"""Sends delivered notices again and records who asked for it, and why (rule 22)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from models.operators.interventions import (
    Change,
    Person,
    record_intervention,
    record_interventions,
)
from models.outbox.dead_letters import NotPossible
from models.outbox.repeats import SENT_AGAIN, StillUnfinished
from models.outbox.send_again import SentAgain, send_again, send_tickets_again


def send_notices_again(
    connection: Connection,
    notice_id: int,
    *,
    person: Person,
    now: datetime,
    job: int | None = None,
) -> SentAgain:
    """Send the notices of a ticket again, from *notice_id* to the last one, and record who asked.

    Runs inside the caller's transaction. Raises StillUnfinished while something of the ticket is
    unfinished (a job can wait for that), and NotPossible.
    """
    done = send_again(connection, notice_id, now=now)
    record_intervention(connection, _change(done, job), person=person, at=now)
    return done


def send_many_again(
    connection: Connection,
    firsts: Mapping[int, int],
    *,
    operator: str,
    person: Person,
    now: datetime,
    job: int,
) -> dict[int, SentAgain | NotPossible]:
    """Send many tickets of *operator* again (`send_tickets_again`), for a job.

    What was refused is recorded too, so that its history says that somebody asked, but not what
    only waits.
    """
    results = send_tickets_again(connection, firsts, now=now)
    changes = [
        _change(result, job)
        if isinstance(result, SentAgain)
        else Change(SENT_AGAIN, operator=operator, ticket=ticket, facts=_refusal(result, job))
        for ticket, result in results.items()
        if not isinstance(result, StillUnfinished)
    ]
    record_interventions(connection, changes, person=person, at=now)
    return results


def _change(done: SentAgain, job: int | None) -> Change:
    facts: dict[str, Any] = {
        "from": done.repeats[0].original,
        "numbers": [done.repeats[0].number, done.repeats[-1].number],
        "notices": len(done.repeats),
        "left_out": [
            {"number": each.number, "action": each.action.value, "why": each.why}
            for each in done.left_out
        ],
    }
    if job is not None:
        facts["job"] = job
    return Change(SENT_AGAIN, operator=done.operator, ticket=done.ticket, facts=facts)


def _refusal(refusal: NotPossible, job: int) -> dict[str, Any]:
    return {"notices": 0, "refused": str(refusal), "job": job}
