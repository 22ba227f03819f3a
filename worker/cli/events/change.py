"""Takes events up again, or drops them."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from models.operators.interventions import Person
from models.triage import (
    EventKey,
    EventResolution,
    LoggedEvent,
    NotPossible,
    RawInput,
    drop_events,
    drop_raw,
    retry_events,
    retry_raw,
)
from models.vocabulary import Outcome, Reason
from worker.cli.triage import sentences
from worker.cli.triage.options import Choice, Teller
from worker.cli.triage.session import Session, session
from worker.cli.triage.targets import Targets, find_fitting, find_named
from worker.cli.triage.work import Job, TriageReport, all_of_them, ask, conclude, one_by_one


def retry(outcome: Outcome, choice: Choice, teller: Teller, *, as_now: bool) -> None:
    """Decide the chosen events again. Raises Failed unless all of them got through."""
    choice.check()
    person = Person(teller.who, teller.why)
    with session() as desk:
        targets = _targets(desk, outcome, choice)
        jobs = [_raw_retry(desk, one, person) for one in targets.raw]
        jobs += [_retry(desk, outcome, keys, person, as_now=as_now) for keys in targets.by_ticket()]
        if choice.ids:
            will = partial(sentences.will_retry, as_now=as_now)
            report = one_by_one(
                desk, jobs, will=will, did=sentences.did_retry, as_json=teller.as_json
            )
        else:
            report = _all(desk, jobs, _retry_question(outcome, targets, as_now=as_now), choice)
    summary = None if choice.ids else _summary(report)
    conclude(report, got_through=_got_through, summary=summary, as_json=teller.as_json)


def can_be_retried(desk: Session, outcome: Outcome, found: LoggedEvent | RawInput) -> str:
    """What a retry of it would lead to at this moment: it is done, and taken back."""
    person = Person("-", "-")
    if isinstance(found, RawInput):
        job = _raw_retry(desk, found.entry_id, person)
    else:
        job = _retry(desk, outcome, [found.key], person, as_now=False)
    try:
        return sentences.prospect(desk.rehearse(job.act)[0])
    except NotPossible as refusal:
        if found.reason == Reason.UNKNOWN_OPERATOR:
            return f"only after `slipway operators add`: {refusal}"
        return f"no: {refusal}"
    except DBAPIError as error:  # a ticket that is locked, a user that may only read
        return f"not known, it could not be tried: {str(error.orig).partition(chr(10))[0]}"


def drop(outcome: Outcome, choice: Choice, teller: Teller) -> None:
    """Let the chosen events go. Raises Failed unless all of them could be dropped."""
    choice.check()
    person = Person(teller.who, teller.why)
    with session() as desk:
        targets = _targets(desk, outcome, choice)
        jobs = [_raw_drop(one, person) for one in targets.raw]
        jobs += [_drop(desk, outcome, keys, person) for keys in targets.by_ticket()]
        if choice.ids:
            report = one_by_one(
                desk,
                jobs,
                will=sentences.will_drop,
                did=sentences.did_drop,
                as_json=teller.as_json,
            )
        else:
            report = _all(desk, jobs, _drop_question(outcome, targets), choice)
    dropped = sum(one.asked for one in report.done)
    summary = None if choice.ids else f"dropped {dropped:,}"
    conclude(report, got_through=lambda _: True, summary=summary, as_json=teller.as_json)


def _targets(desk: Session, outcome: Outcome, choice: Choice) -> Targets:
    if choice.ids:
        return desk.do(lambda connection, _: find_named(connection, outcome, choice))
    return desk.do(lambda connection, now: find_fitting(connection, now, outcome, choice))


def _all(
    desk: Session, jobs: Sequence[Job[EventResolution]], question: str, choice: Choice
) -> TriageReport[EventResolution]:
    if jobs:
        ask(question, yes=choice.yes)
    return all_of_them(desk, jobs)


def _raw_retry(desk: Session, entry_id: str, person: Person) -> Job[EventResolution]:
    def act(connection: Connection, now: datetime) -> list[EventResolution]:
        end = retry_raw(
            connection,
            entry_id,
            age_max=desk.age_max,
            now=now,
            window=desk.window,
            person=person,
        )
        return [end]

    return Job(f"entry {entry_id}", act)


def _retry(
    desk: Session, outcome: Outcome, keys: Sequence[EventKey], person: Person, *, as_now: bool
) -> Job[EventResolution]:
    def act(connection: Connection, now: datetime) -> list[EventResolution]:
        return retry_events(
            connection,
            keys[0].ticket,
            [key.event_id for key in keys],
            outcome=outcome,
            as_now=as_now,
            now=now,
            window=desk.window,
            person=person,
        )

    return Job(_name(keys), act)


def _raw_drop(entry_id: str, person: Person) -> Job[EventResolution]:
    def act(connection: Connection, now: datetime) -> list[EventResolution]:
        return [drop_raw(connection, entry_id, now=now, person=person)]

    return Job(f"entry {entry_id}", act)


def _drop(
    desk: Session, outcome: Outcome, keys: Sequence[EventKey], person: Person
) -> Job[EventResolution]:
    def act(connection: Connection, now: datetime) -> list[EventResolution]:
        return drop_events(
            connection,
            keys[0].ticket,
            [key.event_id for key in keys],
            outcome=outcome,
            now=now,
            window=desk.window,
            person=person,
        )

    return Job(_name(keys), act)


def _name(keys: Sequence[EventKey]) -> str:
    listed = ", ".join(f"{key.action} {key.event_id}" for key in keys)
    return f"{listed} of ticket {keys[0].ticket_id} of {keys[0].operator}"


def _retry_question(outcome: Outcome, targets: Targets, *, as_now: bool) -> str:
    how = "taken up again, oldest first, each as if it had just arrived"
    if outcome is Outcome.PARKED:
        how = "decided now; what still does not fit goes on waiting"
    elif as_now:
        how = f"{how}, and decided as if it happened now"
    return f"{_counted(outcome, targets)} will be {how}"


def _drop_question(outcome: Outcome, targets: Targets) -> str:
    if outcome is Outcome.PARKED:
        what = "will be rejected with the reason dropped and never applied"
    else:
        what = "will leave the list; they stay in the log and in their tickets' stories"
    return f"{_counted(outcome, targets)} {what}"


def _counted(outcome: Outcome, targets: Targets) -> str:
    actions = [key.action for key in targets.events] + ["raw input"] * len(targets.raw)
    oldest = "the oldest: " if targets.more else ""
    return oldest + sentences.counted(actions, f"{outcome.value} event")


def _summary(report: TriageReport[EventResolution]) -> str:
    asked = [one for one in report.done if one.asked]
    if not asked:
        return "taken up none"
    ends = sentences.counted((one.outcome for one in asked), "event")
    along = len(report.done) - len(asked)
    return f"taken up {ends}" + (f"; decided along with them: {along:,}" if along else "")


def _got_through(end: EventResolution) -> bool:
    return end.got_through or not end.asked
