"""Dead notices: what they are, what they hold up, and a person's resolution of each (rule 18)."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, text

from models.history.load import load_attempts
from models.history.ticket_status import TICKET_STATUS
from models.notices.short_body import WHOLE_BODY
from models.operators.interventions import Person, record_intervention
from models.outbox.attempts import ATTEMPTS
from models.outbox.dead_letters import NotPossible, Resolution, resolve
from models.triage.together import notice_change, way_of
from models.triage.values import (
    DeadNotice,
    DeadNoticeHistory,
    NoticeKey,
    ResolvedNotice,
    Selection,
    WaitingNotice,
)
from models.vocabulary import RESULTS, NoticeEnd, Status

ATTEMPTS_MAX: Final = 100
WAITING_MAX: Final = 100

# Operator by operator, in the order of the index `notice_dead`.
_DEAD = f"""
    FROM operator o
   CROSS JOIN LATERAL (
         SELECT d.* FROM notice d
           LEFT JOIN LATERAL (SELECT a.http_status, a.answer FROM {ATTEMPTS} a
                               WHERE a.notice = d.id AND CAST(:by_attempt AS boolean)
                               ORDER BY a.claim DESC LIMIT 1) a ON true
          WHERE d.operator = o.id AND d.ended = 'dead'
            AND (CAST(:since AS timestamptz) IS NULL OR d.ended_at >= :since)
            AND (CAST(:until AS timestamptz) IS NULL OR d.ended_at <= :until)
            AND (CAST(:action AS text) IS NULL OR d.action = :action)
            AND (CAST(:http_status AS int) IS NULL OR a.http_status = :http_status)
            AND (CAST(:answer AS text) IS NULL
                 OR strpos(lower(a.answer), lower(CAST(:answer AS text))) > 0)
            AND (CAST(:reason AS text) IS NULL
                 OR strpos(lower(d.reason), lower(CAST(:reason AS text))) > 0)
            AND (CAST(:ticket_id AS text) IS NULL
                 OR d.ticket IN (SELECT id FROM ticket
                                  WHERE operator = o.id AND ticket_id = :ticket_id))
          ORDER BY d.ended_at {{order}}, d.id {{order}} LIMIT :limit) n
   WHERE (CAST(:operator AS text) IS NULL OR o.code = :operator)
   ORDER BY n.ended_at {{order}}, n.id {{order}} LIMIT :limit"""  # noqa: S608 - a constant
_FACTS = """
    SELECT n.id, o.code AS operator, t.ticket_id, n.action, n.generation, n.number,
           n.ended_at AS dead_since, n.reason, n.perhaps_delivered, n.tries, a.http_status,
           a.answer, o.disabled_at AS operator_disabled_at, n.repeat,
           (SELECT count(*) FROM notice b
             WHERE b.ticket = n.ticket AND b.number > n.number
               AND (b.ended IS NULL OR b.ended = 'dead')) AS behind"""
_AROUND = f"""
      JOIN ticket t ON t.id = n.ticket
      LEFT JOIN LATERAL (SELECT http_status, left(answer, 2000) AS answer
                           FROM {ATTEMPTS} a
                          WHERE a.notice = n.id ORDER BY a.claim DESC LIMIT 1) a ON true"""  # noqa: S608 - a constant
DEAD: Final = text(f"""
      WITH dead AS MATERIALIZED (SELECT n.* {_DEAD.format(order="DESC")})
    {_FACTS}
      FROM dead n JOIN operator o ON o.id = n.operator {_AROUND}
     ORDER BY n.ended_at DESC, n.id DESC""")  # noqa: S608 - constants
OLDEST_DEAD: Final = text(f"""
      WITH dead AS MATERIALIZED (SELECT n.* {_DEAD.format(order="ASC")})
    SELECT n.id, o.code AS operator, t.ticket_id, n.action, n.repeat
      FROM dead n JOIN operator o ON o.id = n.operator JOIN ticket t ON t.id = n.ticket
     ORDER BY n.ended_at, n.id""")  # noqa: S608 - constants
ONE: Final = text(f"""
    {_FACTS}, n.ended, n.event_id, n.created_at, n.path, {WHOLE_BODY} AS body, n.ticket,
           {TICKET_STATUS} AS status
      FROM notice n JOIN operator o ON o.id = n.operator {_AROUND}
     WHERE n.id = :id""")
WAITING: Final = text("""
    SELECT id, number, action, generation, ended FROM notice
     WHERE ticket = :ticket AND number > :number AND (ended IS NULL OR ended = 'dead')
     ORDER BY number LIMIT :limit""")
AFTER: Final = text(f"""
    SELECT n.id, n.ticket, o.code AS operator, t.ticket_id, n.action, n.generation, n.repeat,
           n.perhaps_delivered, {TICKET_STATUS} AS ticket_status,
           t.status, t.generation AS current_generation, t.close_due_at, o.close_delay,
           o.disabled_at IS NOT NULL AS operator_disabled, t.on_hold_at IS NOT NULL AS on_hold,
           EXISTS (SELECT FROM notice w
                    WHERE w.ticket = n.ticket AND w.action = 'ticket_rollback'
                      AND w.generation = n.generation AND w.ended = 'withdrawn'
                      AND n.ended = 'skipped') AS withdrawn,
           h.action AS next_action, h.generation AS next_generation,
           coalesce(h.ended = 'dead', false) AS next_dead
      FROM notice n JOIN ticket t ON t.id = n.ticket JOIN operator o ON o.id = n.operator
      LEFT JOIN LATERAL (
           SELECT f.action, f.generation, f.ended FROM notice f
            WHERE f.ticket = n.ticket AND (f.ended IS NULL OR f.ended = 'dead')
            ORDER BY f.number LIMIT 1) h ON true
     WHERE n.id = :id""")  # noqa: S608 - constants


def list_dead(connection: Connection, selection: Selection, *, limit: int) -> list[DeadNotice]:
    """List dead notices, newest first."""
    rows = connection.execute(DEAD, selection.parameters(limit)).mappings()
    return [DeadNotice(**row) for row in rows]


def choose_dead(connection: Connection, selection: Selection, *, limit: int) -> list[NoticeKey]:
    """Return those that `list_dead` lists, oldest first."""
    rows = connection.execute(OLDEST_DEAD, selection.parameters(limit)).mappings()
    return [NoticeKey(**row) for row in rows]


def find_dead(connection: Connection, notice_id: int) -> DeadNoticeHistory:
    """Return a dead notice with its attempts and what waits behind it. Raises NotPossible."""
    row = connection.execute(ONE, {"id": notice_id}).mappings().one_or_none()
    if row is None:
        raise NotPossible(f"there is no notice {notice_id}")
    if row["ended"] != NoticeEnd.DEAD:
        raise NotPossible(f"notice {notice_id} is not dead ({row['ended'] or 'waiting'})")
    facts: dict[str, Any] = dict(row)
    ticket = facts.pop("ticket")
    del facts["ended"]
    more = {name: facts.pop(name) for name in ("event_id", "created_at", "path", "body", "status")}
    attempts = load_attempts(connection, [notice_id], limit=ATTEMPTS_MAX)[notice_id]
    behind = {"ticket": ticket, "number": row["number"], "limit": WAITING_MAX}
    waiting = connection.execute(WAITING, behind)
    return DeadNoticeHistory(
        notice=DeadNotice(**facts),
        attempts=tuple(attempts),
        waiting=tuple(map(WaitingNotice.of, waiting)),
        **more,
    )


def resolve_dead(
    connection: Connection, notice_id: int, resolution: Resolution, *, now: datetime, person: Person
) -> ResolvedNotice:
    """Resolve a dead notice (`models.outbox.dead_letters.resolve`) and record who did it and why.

    Runs inside the caller's transaction. Raises NotPossible.
    """
    resolve(connection, notice_id, resolution, now=now)
    row = connection.execute(AFTER, {"id": notice_id}).one()
    resolution = way_of(row, resolution)
    record_intervention(connection, notice_change(row, resolution), person=person, at=now)
    is_current = row.status == Status.RESULTED and row.generation == row.current_generation
    return ResolvedNotice(
        id=notice_id,
        operator=row.operator,
        ticket_id=row.ticket_id,
        action=row.action,
        generation=row.generation,
        resolution=resolution,
        perhaps_delivered=row.perhaps_delivered,
        status=row.ticket_status,
        is_current_result=is_current and row.action in RESULTS,
        withdrawn=row.withdrawn,
        close_due_at=row.close_due_at,
        close_delay=row.close_delay,
        next_action=row.next_action,
        next_generation=row.next_generation,
        next_dead=row.next_dead,
        operator_disabled=row.operator_disabled,
        on_hold=row.on_hold,
    )
