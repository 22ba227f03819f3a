"""Resolves dead notices together: a handful of statements for as many as a job's batch holds."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from models.operators.interventions import Change, Person, record_interventions
from models.outbox.dead_letters import ChangedMeanwhile, Resolution, resolve_all
from models.triage.values import ResolvedTogether

RESOLVED: Final = text("""
    SELECT n.id, n.ticket, o.code AS operator, n.action, n.generation, n.repeat, n.perhaps_delivered
      FROM notice n JOIN operator o ON o.id = n.operator
     WHERE n.id = ANY(:ids) ORDER BY n.id""")


def resolve_together(
    connection: Connection,
    notice_ids: Sequence[int],
    resolution: Resolution,
    *,
    now: datetime,
    person: Person,
    dead_until: datetime,
    job: int | None = None,
) -> ResolvedTogether:
    """Resolve dead notices as `resolve_dead` does, each with an intervention of its own.

    What is no longer dead, or has died again after *dead_until*, is left unchanged.
    """
    resolved = resolve_all(connection, notice_ids, resolution, now=now, dead_until=dead_until)
    rows = connection.execute(RESOLVED, {"ids": list(resolved.tickets)})
    by = {} if job is None else {"job": job}
    changes = [notice_change(row, way_of(row, resolution), **by) for row in rows]
    record_interventions(connection, changes, person=person, at=now)
    refusals = resolved.refused.values()
    unchanged = sum(isinstance(refusal, ChangedMeanwhile) for refusal in refusals)
    reasons = Counter(
        str(refusal) for refusal in refusals if not isinstance(refusal, ChangedMeanwhile)
    )
    return ResolvedTogether(len(resolved.tickets), reasons, unchanged, resolved.due)


def way_of(row: Row[Any], resolution: Resolution) -> Resolution:
    """Return what *resolution* means for the notice of *row*: a repeat has one skip (rule 22)."""
    if row.repeat and resolution is not Resolution.RETRY:
        return Resolution.SKIP_REPEAT
    return resolution


def notice_change(row: Row[Any], resolution: Resolution, **facts: object) -> Change:
    """Return the record of a notice that was resolved, from its row."""
    facts |= {
        "notice": row.id,
        "action": row.action,
        "generation": row.generation,
        "way": resolution.value,
        "perhaps_delivered": row.perhaps_delivered,
    }
    did = "notice_retried" if resolution is Resolution.RETRY else "notice_skipped"
    return Change(did, operator=row.operator, ticket=row.ticket, facts=facts)
