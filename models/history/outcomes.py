"""Counts how published events ended, a group at a time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from pydantic_core import to_json
from sqlalchemy import Connection, text

UNKNOWN: Final = "unknown"  # neither an event nor rejected input

# Rows are found by keys alone. A refused entry has a row with the entry's id. An event has a row
# with its ticket and id, which names the entry that brought it first; other entries are duplicates.
COUNT: Final = text("""
    SELECT CASE WHEN r.id IS NOT NULL THEN 'rejected'
                WHEN e.ticket IS NULL THEN 'unknown'
                WHEN e.entry_id = p.entry_id THEN e.outcome
                ELSE 'duplicate' END AS outcome, count(*) AS number
      FROM jsonb_to_recordset(CAST(:published AS jsonb)) AS p(
               operator text, ticket_id text, event_id text, entry_id text)
      LEFT JOIN rejected_input r ON r.entry_id = p.entry_id
      LEFT JOIN operator o ON o.code = p.operator
      LEFT JOIN ticket t ON t.operator = o.id AND t.ticket_id = p.ticket_id
      LEFT JOIN ticket_event e ON e.ticket = t.id AND e.event_id = p.event_id
     GROUP BY 1""")


@dataclass(frozen=True, slots=True)
class PublishedEntry:
    """An event that is, or was, on the stream as the entry *entry_id*."""

    operator: str
    ticket_id: str
    event_id: str
    entry_id: str


def count_outcomes(connection: Connection, published: Sequence[PublishedEntry]) -> Counter[str]:
    """Count how those of *published* ended that the intake has taken off the stream.

    The keys are `models.vocabulary.Outcome`, `duplicate` for an event that was known before, and
    `unknown` for one that is not stored (removed meanwhile, or retried under another entry).
    """
    documents = to_json([asdict(event) for event in published]).decode()
    rows = connection.execute(COUNT, {"published": documents})
    return Counter({row.outcome: row.number for row in rows})
