"""The audit log: who changed what by hand, and why."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, text

WHO_MAX: Final = 100
WHY_MAX: Final = 1000

# One statement for as many rows as an import brings.
RECORD_MANY: Final = text("""
    INSERT INTO intervention (at, who, why, did, operator, ticket, facts)
    SELECT coalesce(CAST(:at AS timestamptz), now()), :who, :why, input.*
      FROM jsonb_to_recordset(CAST(:changes AS jsonb)) AS input(
               did text, operator text, ticket bigint, facts jsonb)
""")


@dataclass(frozen=True, slots=True)
class Person:
    """Who changes something, and the reason given."""

    who: str
    why: str


@dataclass(frozen=True, slots=True)
class Change:
    """What was done: *did* is the command as a word, `operator_added`. *facts* hold no secret."""

    did: str
    operator: str | None = None
    ticket: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def record_intervention(
    connection: Connection, change: Change, *, person: Person, at: datetime | None = None
) -> None:
    """Record *change* in the caller's transaction, so that neither exists without the other.

    *at*: the moment of the change itself; by default the start of the transaction. A name longer
    than 100 characters and a reason longer than 1,000 are cut.
    """
    record_interventions(connection, [change], person=person, at=at)


def record_interventions(
    connection: Connection,
    changes: Sequence[Change],
    *,
    person: Person,
    at: datetime | None = None,
) -> None:
    """Record *changes* as `record_intervention` does, in one statement."""
    if not changes:
        return
    rows = [
        {
            "did": change.did,
            "operator": change.operator,
            "ticket": change.ticket,
            "facts": dict(change.facts),
        }
        for change in changes
    ]
    connection.execute(
        RECORD_MANY,
        {
            "at": at,
            "who": person.who[:WHO_MAX],
            "why": person.why[:WHY_MAX],
            "changes": json.dumps(rows),
        },
    )
