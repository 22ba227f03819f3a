"""What became of events that were published: counted, a group at a time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from pydantic_core import to_json
from sqlalchemy import Connection, text

UNKNOWN: Final = "unknown"  # neither among the events nor among what was refused

# By the keys alone: an entry that was refused has its row by the entry's id; an event has it by
# ticket and id, and names the entry that brought it first: any other was a duplicate.
COUNT: Final = text("""
    SELECT CASE WHEN refused.id IS NOT NULL THEN 'rejected'
                WHEN e.ticket IS NULL THEN 'unknown'
                WHEN e.entry_id = p.entry_id THEN e.outcome
                ELSE 'duplicate' END AS outcome, count(*) AS number
      FROM jsonb_to_recordset(CAST(:published AS jsonb)) AS p(
               operator text, ticket_id text, event_id text, entry_id text)
      LEFT JOIN rejected_input refused ON refused.entry_id = p.entry_id
      LEFT JOIN operator o ON o.code = p.operator
      LEFT JOIN ticket t ON t.operator = o.id AND t.ticket_id = p.ticket_id
      LEFT JOIN ticket_event e ON e.ticket = t.id AND e.event_id = p.event_id
     GROUP BY 1""")


@dataclass(frozen=True, slots=True)
class PublishedEvent:
    """An event that is, or was, on the stream as the entry *entry_id*."""

    operator: str
    ticket_id: str
    event_id: str
    entry_id: str


def count_outcomes(connection: Connection, published: Sequence[PublishedEvent]) -> Counter[str]:
    """How many of *published*, which the intake has taken off the stream, ended in which way.

    The words are `models.vocabulary.Outcome`, `duplicate` for what was known before, and
    `unknown` for what is nowhere (removed meanwhile, or retried under another entry).
    """
    rows = to_json([asdict(one) for one in published]).decode()
    found = connection.execute(COUNT, {"published": rows})
    return Counter({row.outcome: row.number for row in found})
