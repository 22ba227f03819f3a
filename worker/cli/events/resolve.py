"""Retries events, or drops them."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from models import triage
from models.operators.interventions import Person
from models.triage import EventKey, EventResolution, LoggedEvent, RawInput, event_sentences
from models.vocabulary import Outcome
from worker.cli.events.targets import Targets, find_matching, find_named
from worker.cli.triage.display import counted
from worker.cli.triage.options import ChangeOptions, SelectionOptions
from worker.cli.triage.report import (
    OneChange,
    TriageReport,
    conclude,
    confirm_many,
    run_all,
    run_named,
)
from worker.cli.triage.session import CommandSession, open_session


def retry_events(
    outcome: Outcome,
    ids: Sequence[str],
    selection: SelectionOptions,
    change: ChangeOptions,
    *,
    as_now: bool,
) -> None:
    """Decide the selected events again. Raises Failed unless all of them got through."""
    selection.check(ids)
    person = Person(change.who, change.why)
    with open_session() as session:
        targets = _targets(session, outcome, ids, selection)
        changes = [_raw_retry(session, entry_id, person) for entry_id in targets.raw]
        changes += [
            _retry(session, outcome, keys, person, as_now=as_now) for keys in targets.by_ticket()
        ]
        if ids:
            report = run_named(
                session,
                changes,
                announce=partial(event_sentences.will_retry, as_now=as_now),
                describe=event_sentences.did_retry,
                as_json=change.as_json,
            )
        else:
            announcement = _retry_announcement(outcome, targets, as_now=as_now)
            report = _confirm_and_run(session, changes, announcement, change)
    summary = None if ids else _summary(report)
    conclude(report, got_through=_got_through, summary=summary, as_json=change.as_json)


def can_be_retried(session: CommandSession, outcome: Outcome, event: LoggedEvent | RawInput) -> str:
    """Return what a retry would lead to now: it is rehearsed, and rolled back."""
    person = Person("-", "-")
    if isinstance(event, RawInput):
        attempt = _raw_retry(session, event.entry_id, person)
    else:
        attempt = _retry(session, outcome, [event.key], person, as_now=False)
    return event_sentences.prospect(lambda: session.rehearse(attempt.work)[0], reason=event.reason)


def drop_events(
    outcome: Outcome,
    ids: Sequence[str],
    selection: SelectionOptions,
    change: ChangeOptions,
) -> None:
    """Drop the selected events. Raises Failed unless all of them could be dropped."""
    selection.check(ids)
    person = Person(change.who, change.why)
    with open_session() as session:
        targets = _targets(session, outcome, ids, selection)
        changes = [_raw_drop(entry_id, person) for entry_id in targets.raw]
        changes += [_drop(session, outcome, keys, person) for keys in targets.by_ticket()]
        if ids:
            report = run_named(
                session,
                changes,
                announce=event_sentences.will_drop,
                describe=event_sentences.did_drop,
                as_json=change.as_json,
            )
        else:
            announcement = _drop_announcement(outcome, targets)
            report = _confirm_and_run(session, changes, announcement, change)
    dropped = sum(resolution.selected for resolution in report.done)
    summary = None if ids else f"dropped {dropped:,}"
    conclude(report, got_through=lambda _: True, summary=summary, as_json=change.as_json)


def _targets(
    session: CommandSession, outcome: Outcome, ids: Sequence[str], selection: SelectionOptions
) -> Targets:
    if ids:
        return session.run(lambda connection, _: find_named(connection, outcome, ids, selection))
    return session.run(lambda connection, now: find_matching(connection, now, outcome, selection))


def _confirm_and_run(
    session: CommandSession,
    changes: Sequence[OneChange[EventResolution]],
    announcement: str,
    change: ChangeOptions,
) -> TriageReport[EventResolution]:
    if changes:
        confirm_many(announcement, yes=change.yes)
    return run_all(session, changes)


def _raw_retry(
    session: CommandSession, entry_id: str, person: Person
) -> OneChange[EventResolution]:
    def work(connection: Connection, now: datetime) -> list[EventResolution]:
        resolution = triage.retry_raw(
            connection,
            entry_id,
            age_max=session.age_max,
            now=now,
            window=session.window,
            person=person,
        )
        return [resolution]

    return OneChange(f"entry {entry_id}", work)


def _retry(
    session: CommandSession,
    outcome: Outcome,
    keys: Sequence[EventKey],
    person: Person,
    *,
    as_now: bool,
) -> OneChange[EventResolution]:
    def work(connection: Connection, now: datetime) -> list[EventResolution]:
        return triage.retry_events(
            connection,
            keys[0].ticket,
            [key.event_id for key in keys],
            outcome=outcome,
            as_now=as_now,
            now=now,
            window=session.window,
            person=person,
        )

    return OneChange(_name(keys), work)


def _raw_drop(entry_id: str, person: Person) -> OneChange[EventResolution]:
    def work(connection: Connection, now: datetime) -> list[EventResolution]:
        return [triage.drop_raw(connection, entry_id, now=now, person=person)]

    return OneChange(f"entry {entry_id}", work)


def _drop(
    session: CommandSession, outcome: Outcome, keys: Sequence[EventKey], person: Person
) -> OneChange[EventResolution]:
    def work(connection: Connection, now: datetime) -> list[EventResolution]:
        return triage.drop_events(
            connection,
            keys[0].ticket,
            [key.event_id for key in keys],
            outcome=outcome,
            now=now,
            window=session.window,
            person=person,
        )

    return OneChange(_name(keys), work)


def _name(keys: Sequence[EventKey]) -> str:
    names = ", ".join(f"{key.action} {key.event_id}" for key in keys)
    return f"{names} of ticket {keys[0].ticket_id} of {keys[0].operator}"


def _retry_announcement(outcome: Outcome, targets: Targets, *, as_now: bool) -> str:
    how = "processed again, oldest first, each as if it had just arrived"
    if outcome is Outcome.PARKED:
        how = "decided now; those that still have to wait stay parked"
    elif as_now:
        how = f"{how}, and decided as if it happened now"
    return f"{_counted(outcome, targets)} will be {how}"


def _drop_announcement(outcome: Outcome, targets: Targets) -> str:
    if outcome is Outcome.PARKED:
        what = "will be rejected with the reason dropped and never applied"
    else:
        what = "will leave the list; they stay in the log and in their tickets' histories"
    return f"{_counted(outcome, targets)} {what}"


def _counted(outcome: Outcome, targets: Targets) -> str:
    actions = [key.action for key in targets.events] + ["raw input"] * len(targets.raw)
    oldest = "the oldest: " if targets.more else ""
    return oldest + counted(actions, f"{outcome.value} event")


def _summary(report: TriageReport[EventResolution]) -> str:
    selected = [resolution for resolution in report.done if resolution.selected]
    if not selected:
        return "retried none"
    outcomes = counted((resolution.outcome for resolution in selected), "event")
    along = len(report.done) - len(selected)
    return f"retried {outcomes}" + (f"; decided along with them: {along:,}" if along else "")


def _got_through(resolution: EventResolution) -> bool:
    return resolution.got_through or not resolution.selected
