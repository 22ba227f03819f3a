"""Jobs that retry or drop events that need a person: parked, rejected or superseded ones.

Rejected raw input belongs to the rejected events; it comes after them, one entry a batch, since its
row is locked last in a transaction (rule 19).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import Field
from pydantic_core import to_json
from sqlalchemy import Connection, text

from models.jobs.kinds.arguments import IDS_MAX, SelectedItems, Text, read, with_end, with_missing
from models.jobs.values import Arguments, Job, JobKind, StepResult
from models.operators.interventions import Person
from models.outbox.dead_letters import NotPossible
from models.platform.bounded_count import BoundedCount
from models.platform.timestamps import format_timestamp
from models.tickets.load import lock_by_id
from models.triage.events import drop_events, retry_events
from models.triage.matching_events import EventPlace, count_events, next_events, next_raw
from models.triage.raw_input import drop_raw, retry_raw
from models.triage.values import EventResolution
from models.vocabulary import Outcome

EVENTS_MAX: Final = 25  # a batch: each ticket takes a dozen statements
AS_IT_WAS: Final = text("""
    SELECT e.ticket, e.event_id
      FROM jsonb_to_recordset(CAST(:keys AS jsonb)) AS k(ticket bigint, event_id text)
      JOIN ticket_event e ON e.ticket = k.ticket AND e.event_id = k.event_id
     WHERE e.outcome = :outcome AND e.dropped_at IS NULL AND e.decided_at <= :until
     ORDER BY e.ticket, e.arrival""")
RAW_AS_IT_WAS: Final = text("""
    SELECT entry_id FROM rejected_input
     WHERE entry_id = :entry_id AND dropped_at IS NULL AND rejected_at <= :until""")

Key = tuple[int, str]


class EventAct(StrEnum):
    """What is done with the events."""

    RETRY = "retry"
    DROP = "drop"


class OpenEventArguments(SelectedItems):
    """Which events. *window* and *age_max* are the settings, in seconds."""

    outcome: Literal[Outcome.PARKED, Outcome.REJECTED, Outcome.SUPERSEDED]
    window: Annotated[float, Field(ge=0)]
    age_max: Annotated[float, Field(gt=0)]
    as_now: bool = False
    # Events by ticket (its row's id) and id, raw input by its stream entry's id.
    keys: Annotated[list[tuple[int, Text]], Field(max_length=IDS_MAX)] | None = None
    entries: Annotated[list[Text], Field(max_length=IDS_MAX)] | None = None

    @property
    def names_items(self) -> bool:
        """Whether the events are named one by one."""
        return self.keys is not None or self.entries is not None

    @property
    def named(self) -> list[Key | str]:
        """The keys and the entries, each once."""
        return list(dict.fromkeys([*(self.keys or []), *(self.entries or [])]))


@dataclass(slots=True)
class _EventTally:
    """What is counted while a batch is worked on."""

    done: int = 0
    unchanged: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    due: bool = False

    def add(self, act: EventAct, resolutions: Iterable[EventResolution]) -> None:
        for resolution in resolutions:
            self.due = self.due or bool(resolution.notices)
            if not resolution.selected:
                continue
            if act is EventAct.DROP or resolution.got_through:
                self.done += 1
            else:
                self.reasons[f"{resolution.outcome}: {resolution.reason}"] += 1

    def result(self, *, position: dict[str, Any] | None, finished: bool) -> StepResult:
        return StepResult(
            finished=finished,
            done=self.done,
            refused=self.reasons.total(),
            unchanged=self.unchanged,
            reasons=self.reasons,
            position=position,
            due=self.due,
        )


@dataclass(frozen=True, slots=True)
class _EventBatch:
    """A batch's means: the connection, who acts, and on what."""

    connection: Connection
    job: Job
    arguments: OpenEventArguments
    act: EventAct
    now: datetime

    @property
    def person(self) -> Person:
        return Person(self.job.who, self.job.why)

    @property
    def window(self) -> timedelta:
        return timedelta(seconds=self.arguments.window)

    def events(self, keys: Sequence[Key], batch: _EventTally) -> None:
        """Resolve events, ticket by ticket, under the locks of all of their tickets."""
        lock_by_id(self.connection, (ticket for ticket, _ in keys))
        by_ticket: dict[int, list[str]] = {}
        for row in self._as_they_were(keys):
            by_ticket.setdefault(row.ticket, []).append(row.event_id)
        batch.unchanged += len(keys) - sum(map(len, by_ticket.values()))
        for ticket, event_ids in by_ticket.items():
            try:
                with self.connection.begin_nested():
                    resolutions = self._resolve(ticket, event_ids)
            except NotPossible as refusal:
                batch.reasons[str(refusal)] += len(event_ids)
            else:
                batch.add(self.act, resolutions)

    def raw(self, entry_id: str, batch: _EventTally) -> None:
        """Resolve raw input."""
        parameters = {"entry_id": entry_id, "until": self.arguments.matched_until}
        if self.connection.execute(RAW_AS_IT_WAS, parameters).one_or_none() is None:
            batch.unchanged += 1
            return
        try:
            with self.connection.begin_nested():
                resolution = self._resolve_raw(entry_id)
        except NotPossible as refusal:
            batch.reasons[str(refusal).replace(entry_id, "…")] += 1
        else:
            batch.add(self.act, [resolution])

    def _as_they_were(self, keys: Sequence[Key]) -> Sequence[Any]:
        named = [{"ticket": ticket, "event_id": event_id} for ticket, event_id in keys]
        parameters = {
            "keys": to_json(named).decode(),
            "outcome": self.arguments.outcome,
            "until": self.arguments.matched_until,
        }
        return self.connection.execute(AS_IT_WAS, parameters).all()

    def _resolve(self, ticket: int, event_ids: Sequence[str]) -> list[EventResolution]:
        if self.act is EventAct.DROP:
            return drop_events(
                self.connection,
                ticket,
                event_ids,
                outcome=self.arguments.outcome,
                now=self.now,
                window=self.window,
                person=self.person,
            )
        return retry_events(
            self.connection,
            ticket,
            event_ids,
            outcome=self.arguments.outcome,
            as_now=self.arguments.as_now,
            now=self.now,
            window=self.window,
            person=self.person,
        )

    def _resolve_raw(self, entry_id: str) -> EventResolution:
        if self.act is EventAct.DROP:
            return drop_raw(self.connection, entry_id, now=self.now, person=self.person)
        return retry_raw(
            self.connection,
            entry_id,
            age_max=timedelta(seconds=self.arguments.age_max),
            now=self.now,
            window=self.window,
            person=self.person,
        )


def _count(connection: Connection, arguments: OpenEventArguments) -> BoundedCount:
    if arguments.names_items:
        return BoundedCount(len(arguments.named))
    return count_events(connection, arguments.outcome, arguments.selection)


def _named(work: _EventBatch, limit: int) -> StepResult:
    """Resolve the next of those that are named: events first, then raw input, one a batch."""
    named, position = work.arguments.named, work.job.position
    start = 0 if position is None else position["next"]
    batch = _EventTally()
    keys = [item for item in named[start : start + limit] if not isinstance(item, str)]
    work.events(keys, batch)
    end = start + len(keys)
    if not keys and start < len(named):
        work.raw(str(named[start]), batch)
        end = start + 1
    return batch.result(position={"next": end}, finished=end >= len(named))


def _matching(work: _EventBatch, limit: int) -> StepResult:
    """Resolve the next of those that match: events first, then raw input, one a batch."""
    arguments, position = work.arguments, work.job.position or {"of": "events"}
    after = None
    if "at" in position:
        after = EventPlace(datetime.fromisoformat(position["at"]), position["number"])
    batch = _EventTally()
    if position["of"] == "events":
        stretch = next_events(
            work.connection, arguments.outcome, arguments.selection, after=after, limit=limit
        )
        work.events([(row.ticket, row.event_id) for row in stretch.rows], batch)
        if stretch.last and arguments.outcome is Outcome.REJECTED:
            return batch.result(position={"of": "raw"}, finished=False)
    else:
        stretch = next_raw(work.connection, arguments.selection, after=after, limit=1)
        for row in stretch.rows:
            work.raw(row.entry_id, batch)
    place = stretch.place
    reached = place and {
        "of": position["of"],
        "at": format_timestamp(place.at),
        "number": place.number,
    }
    return batch.result(position=reached, finished=stretch.last)


def _facts(arguments: Arguments) -> Arguments:
    """Return what the intervention keeps: the keys have interventions of their own."""
    named = {"keys", "entries"}
    facts = {name: value for name, value in arguments.items() if name not in named}
    return {**facts, **{name: len(arguments[name]) for name in named & arguments.keys()}}


def _kind(name: str, act: EventAct) -> JobKind:
    def step(connection: Connection, job: Job, now: datetime, limit: int) -> StepResult:
        arguments = read(OpenEventArguments, job.arguments)
        work = _EventBatch(connection, job, arguments, act, now)
        if arguments.names_items:
            return _named(work, limit)
        return with_missing(job, _matching(work, limit))

    return JobKind(
        name,
        count=lambda connection, arguments: _count(connection, read(OpenEventArguments, arguments)),
        step=step,
        prepare=lambda _, arguments, now: with_end(OpenEventArguments, arguments, now),
        facts=_facts,
        batch_max=EVENTS_MAX,
    )


RETRY_EVENTS: Final = _kind("retry_events", EventAct.RETRY)
DROP_EVENTS: Final = _kind("drop_events", EventAct.DROP)
