"""Keeps what people change by hand: who, what and why (design.md 4, *Command line*)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, text

WHO_MAX: Final = 100
WHY_MAX: Final = 1000

KEEP: Final = text("""
    INSERT INTO intervention (at, who, why, did, operator, ticket, facts)
    VALUES (coalesce(CAST(:at AS timestamptz), now()), :who, :why, :did, :operator, :ticket,
            CAST(:facts AS jsonb))
""")

KEEP_MANY: Final = text("""
    INSERT INTO intervention (at, who, why, did, operator, ticket, facts)
    SELECT coalesce(CAST(:at AS timestamptz), now()), :who, :why, r.*
      FROM jsonb_to_recordset(CAST(:changes AS jsonb)) AS r(
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
    """Keep *change* in the caller's transaction, so that one is never there without the other.

    *at*: the moment the change itself carries; the transaction's start unless given. Longer words
    than 100 (who) and 1,000 characters (why) are cut.
    """
    connection.execute(
        KEEP,
        {
            "at": at,
            "who": person.who[:WHO_MAX],
            "why": person.why[:WHY_MAX],
            "did": change.did,
            "operator": change.operator,
            "ticket": change.ticket,
            "facts": json.dumps(dict(change.facts)),
        },
    )


def record_interventions(
    connection: Connection,
    changes: Sequence[Change],
    *,
    person: Person,
    at: datetime | None = None,
) -> None:
    """Keep *changes* as `record_intervention` does, in one statement."""
    if not changes:
        return
    connection.execute(
        KEEP_MANY,
        {
            "at": at,
            "who": person.who[:WHO_MAX],
            "why": person.why[:WHY_MAX],
            "changes": json.dumps(
                [
                    {
                        "did": one.did,
                        "operator": one.operator,
                        "ticket": one.ticket,
                        "facts": dict(one.facts),
                    }
                    for one in changes
                ]
            ),
        },
    )
