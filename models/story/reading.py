"""Fetches the facts of a ticket's story, and the list of what was rejected. Reads only."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, text

from models.lifecycle.words import Action, NoticeEnd, Outcome, Result, Status
from models.story.values import (
    AttemptFact,
    EventFact,
    InterventionFact,
    NoticeFact,
    RefusedFact,
    Story,
    TicketFact,
)

TICKETS_MAX: Final = 50  # operators that use the same ticket id
FACTS_MAX: Final = 500  # of each kind and ticket; the newest

TICKETS: Final = text("""
    SELECT t.id, o.code AS operator, t.ticket_id, t.status, t.result, t.generation, t.settled_at,
           t.close_due_at, t.closed_at, t.parked, t.unfinished, t.cancelled_by, t.created_at,
           t.changed_at, o.close_delay, o.disabled_at AS operator_disabled_at
      FROM operator o JOIN ticket t ON t.operator = o.id
     WHERE t.ticket_id = :ticket_id AND (CAST(:operator AS text) IS NULL OR o.code = :operator)
     ORDER BY o.code
     LIMIT :limit
""")
EVENTS: Final = text("""
    SELECT event_id, action, data, occurred_at, order_time, sequence, received_at, outcome, reason,
           status_before, status_after, decided_at, park_until, repeats, repeated_at
      FROM ticket_event WHERE ticket = :ticket ORDER BY arrival DESC LIMIT :limit
""")
NOTICES: Final = text("""
    SELECT id, number, action, generation, event_id, head, created_at, due_at, leased_until, tries,
           perhaps_delivered, ended, ended_at, reason
      FROM notice WHERE ticket = :ticket ORDER BY number DESC LIMIT :limit
""")
ATTEMPTS: Final = text("""
    SELECT notice, claim, verdict, took_ms, http_status, problem, answer, recorded_at
      FROM delivery_attempt WHERE notice = ANY(:notices) ORDER BY recorded_at DESC LIMIT :limit
""")
INTERVENTIONS: Final = text("""
    SELECT at, who, why, did FROM intervention
     WHERE ticket = :ticket ORDER BY id DESC LIMIT :limit
""")
REFUSED: Final = text("""
    SELECT entry_id, event_id, reason, message, received_at, rejected_at
      FROM rejected_input
     WHERE ticket_id = :ticket_id AND operator = :operator
     ORDER BY id DESC LIMIT :limit
""")
REJECTED: Final = text("""
    SELECT * FROM (
        (SELECT e.decided_at AS at, o.code AS operator, t.ticket_id, e.event_id, e.action,
                e.entry_id, e.reason, NULL AS message, t.status
           FROM ticket_event e JOIN ticket t ON t.id = e.ticket JOIN operator o ON o.id = t.operator
          WHERE e.outcome = 'rejected'
            AND (CAST(:operator AS text) IS NULL OR o.code = :operator)
            AND (CAST(:reason AS text) IS NULL OR e.reason = :reason)
            AND (CAST(:since AS timestamptz) IS NULL OR e.decided_at >= :since)
          ORDER BY e.decided_at DESC LIMIT :limit)
        UNION ALL
        (SELECT r.rejected_at, r.operator, r.ticket_id, r.event_id, NULL, r.entry_id, r.reason,
                r.message, NULL
           FROM rejected_input r
          WHERE (CAST(:operator AS text) IS NULL OR r.operator = :operator)
            AND (CAST(:reason AS text) IS NULL OR r.reason = :reason)
            AND (CAST(:since AS timestamptz) IS NULL OR r.rejected_at >= :since)
          ORDER BY r.id DESC LIMIT :limit)
    ) AS both_kinds
    ORDER BY at DESC LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rejected event, or what could not even be read; in the latter case some facts are missing.

    *status* is the ticket's present one; *message* says what was wrong with unreadable input.
    """

    at: datetime
    operator: str | None
    ticket_id: str | None
    event_id: str | None
    action: str | None
    entry_id: str | None
    reason: str | None
    message: str | None
    status: str | None


def read_stories(
    connection: Connection, ticket_id: str, *, operator: str | None = None
) -> list[Story]:
    """The ticket's story, one for each operator that has a ticket of this id (rule 1)."""
    asked = {"ticket_id": ticket_id, "operator": operator, "limit": TICKETS_MAX}
    return [_story(connection, row) for row in connection.execute(TICKETS, asked).mappings()]


def list_rejected(
    connection: Connection,
    *,
    operator: str | None = None,
    reason: str | None = None,
    since: datetime | None = None,
    limit: int = 100,
) -> list[Refusal]:
    """What was rejected, newest first: events of tickets, and input kept raw."""
    asked = {"operator": operator, "reason": reason, "since": since, "limit": limit}
    return [Refusal(**row) for row in connection.execute(REJECTED, asked).mappings()]


def _story(connection: Connection, row: RowMapping) -> Story:
    facts = dict(row)
    ticket = facts.pop("id")
    facts |= {"status": Status(row["status"]), "result": Result(row["result"])}
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
    return Story(
        ticket=TicketFact(**facts),
        events=tuple(map(_event, reversed(events))),
        notices=tuple(_notice(one, attempts[one["id"]]) for one in reversed(notices)),
        interventions=tuple(InterventionFact(**one) for one in reversed(interventions)),
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
        found[facts.pop("notice")].append(AttemptFact(took=took, **facts))
    return found


def _event(row: RowMapping) -> EventFact:
    words = {"action": Action(row["action"]), "outcome": Outcome(row["outcome"])}
    return EventFact(**{**row, **words})


def _notice(row: RowMapping, attempts: Sequence[AttemptFact]) -> NoticeFact:
    facts: dict[str, Any] = dict(row)
    del facts["id"]
    facts["action"] = Action(row["action"])
    facts["ended"] = None if row["ended"] is None else NoticeEnd(row["ended"])
    return NoticeFact(attempts=tuple(attempts), **facts)
