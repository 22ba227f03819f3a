"""Fetches the facts of a ticket's story. Reads only."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from unicodedata import normalize

from sqlalchemy import Connection, RowMapping, text

from models.events.stored import stored_object
from models.history.values import (
    AttemptFact,
    CausedNotice,
    EventFact,
    InterventionFact,
    NoticeFact,
    RefusedFact,
    TicketFact,
    TicketHistory,
)
from models.vocabulary import Action, NoticeEnd, Outcome, Result, Status

TICKETS_MAX: Final = 50  # operators that use the same ticket id
FACTS_MAX: Final = 500  # of each kind and ticket; the newest

TICKETS: Final = text("""
    SELECT t.id, o.code AS operator, t.ticket_id, t.status, t.result, t.generation, t.settled_at,
           t.close_due_at, t.closed_at, t.parked, t.unfinished, t.cancelled_by, t.created_at,
           t.changed_at, t.details, t.amounts, o.close_delay,
           o.disabled_at AS operator_disabled_at
      FROM operator o JOIN ticket t ON t.operator = o.id
     WHERE t.ticket_id = :ticket_id AND (CAST(:operator AS text) IS NULL OR o.code = :operator)
     ORDER BY o.code
     LIMIT :limit
""")
EVENTS: Final = text("""
    SELECT event_id, action, data, occurred_at, order_time, sequence, received_at, outcome, reason,
           message, status_before, status_after, decided_at, park_until, repeats, repeated_at,
           dropped_at
      FROM ticket_event WHERE ticket = :ticket ORDER BY arrival DESC LIMIT :limit
""")
NOTICES: Final = text("""
    SELECT id, number, action, generation, event_id, head, created_at, due_at, leased_until, tries,
           perhaps_delivered, ended, ended_at, reason
      FROM notice WHERE ticket = :ticket ORDER BY number DESC LIMIT :limit
""")
ATTEMPTS: Final = text("""
    SELECT notice, claim, verdict, took_ms, http_status, problem, answer, recorded_at, remarks
      FROM delivery_attempt WHERE notice = ANY(:notices) ORDER BY recorded_at DESC LIMIT :limit
""")
INTERVENTIONS: Final = text("""
    SELECT at, who, why, did, facts FROM intervention
     WHERE ticket = :ticket ORDER BY id DESC LIMIT :limit
""")
REFUSED: Final = text("""
    SELECT entry_id, event_id, reason, message, received_at, rejected_at, dropped_at
      FROM rejected_input
     WHERE ticket_id = :ticket_id AND operator = :operator
     ORDER BY id DESC LIMIT :limit
""")


def load_histories(
    connection: Connection, ticket_id: str, *, operator: str | None = None
) -> list[TicketHistory]:
    """The ticket's story, one for each operator that has a ticket of this id (rule 1)."""
    normal = normalize("NFC", ticket_id)  # as all ids are kept
    asked = {"ticket_id": normal, "operator": operator, "limit": TICKETS_MAX}
    return [_history(connection, row) for row in connection.execute(TICKETS, asked).mappings()]


def _history(connection: Connection, row: RowMapping) -> TicketHistory:
    facts = dict(row)
    ticket = facts.pop("id")
    facts |= {"status": Status(row["status"]), "result": Result(row["result"])}
    facts["details"] = stored_object(row["details"])
    facts["amounts"] = {} if row["amounts"] is None else stored_object(row["amounts"])
    by_ticket = {"ticket": ticket, "limit": FACTS_MAX}
    events = connection.execute(EVENTS, by_ticket).mappings().all()
    notices = connection.execute(NOTICES, by_ticket).mappings().all()
    interventions = connection.execute(INTERVENTIONS, by_ticket).mappings().all()
    refused = (
        connection.execute(
            REFUSED,
            {"ticket_id": row["ticket_id"], "operator": row["operator"], "limit": FACTS_MAX},
        )
        .mappings()
        .all()
    )
    attempts = _attempts(connection, [notice["id"] for notice in notices])
    read = (events, notices, interventions, refused)
    return TicketHistory(
        ticket=TicketFact(**facts),
        events=_events(events, notices),
        notices=tuple(_notice(one, attempts[one["id"]]) for one in reversed(notices)),
        interventions=tuple(map(_intervention, reversed(interventions))),
        refused=tuple(RefusedFact(**one) for one in reversed(refused)),
        cut=FACTS_MAX in {sum(map(len, attempts.values())), *map(len, read)},
    )


def _attempts(
    connection: Connection, notices: Sequence[int]
) -> defaultdict[int, list[AttemptFact]]:
    found: defaultdict[int, list[AttemptFact]] = defaultdict(list)
    asked = {"notices": list(notices), "limit": FACTS_MAX}
    for row in reversed(connection.execute(ATTEMPTS, asked).mappings().all()):
        facts: dict[str, Any] = dict(row)
        took = timedelta(milliseconds=facts.pop("took_ms"))
        if facts["remarks"] is not None:
            facts["remarks"] = stored_object(facts["remarks"])
        found[facts.pop("notice")].append(AttemptFact(took=took, **facts))
    return found


def _events(events: Sequence[RowMapping], notices: Sequence[RowMapping]) -> tuple[EventFact, ...]:
    """The events in order of arrival, each with the notices that came of it."""
    caused: defaultdict[str | None, list[CausedNotice]] = defaultdict(list)
    for one in reversed(notices):
        notice = CausedNotice(one["number"], one["action"], one["generation"], one["ended"])
        caused[one["event_id"]].append(notice)
    return tuple(_event(one, caused[one["event_id"]]) for one in reversed(events))


def _event(row: RowMapping, notices: Sequence[CausedNotice]) -> EventFact:
    read = {
        "action": Action(row["action"]),
        "outcome": Outcome(row["outcome"]),
        "data": stored_object(row["data"]),
    }
    return EventFact(notices=tuple(notices), **{**row, **read})


def _intervention(row: RowMapping) -> InterventionFact:
    return InterventionFact(**{**row, "facts": stored_object(row["facts"])})


def _notice(row: RowMapping, attempts: Sequence[AttemptFact]) -> NoticeFact:
    facts: dict[str, Any] = dict(row)
    facts["action"] = Action(row["action"])
    facts["ended"] = None if row["ended"] is None else NoticeEnd(row["ended"])
    return NoticeFact(attempts=tuple(attempts), **facts)
