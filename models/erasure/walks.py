"""Searches for a player, table by table: a bounded number of rows by the primary key at a time.

No index finds an id inside an event's data or raw input. A walk reads a table once, in batches, and
its position is stored with what it did, so that it goes on where it was.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, text

from models.erasure.blank import HAS_ENDED, blank_input, blank_interventions
from models.erasure.names import ERASED, PlayerName

Position = Mapping[str, Any]
INPUT_MAX: Final = 50  # rows of raw input at once: each may have 256 KiB

TICKETS: Final = text("""
    SELECT id FROM ticket
     WHERE operator = :operator AND details ->> 'player_id' = ANY(:forms)
       AND (details ->> 'player_id') IS NOT NULL AND id > :id
     ORDER BY id LIMIT :limit""")
# The rows that may name the player, and the last one that was looked at. What is left out of an
# event's data is searched, too (`models.events.kept_once`); a ticket's key names no player.
EVENTS: Final = text("""
    WITH part AS MATERIALIZED (
        SELECT ticket, event_id, data, left_out FROM ticket_event
         WHERE (ticket, event_id) > (:ticket, :event_id)
         ORDER BY ticket, event_id LIMIT :limit)
    SELECT p.ticket, p.event_id, w.data, false AS is_last
      FROM part p JOIN ticket t ON t.id = p.ticket
     CROSS JOIN LATERAL (
           SELECT CASE p.left_out WHEN 'details' THEN t.details || p.data ELSE p.data END AS data
           OFFSET 0) AS w
     WHERE t.operator = :operator
       AND EXISTS (SELECT FROM unnest(CAST(:quoted AS text[])) AS q
                    WHERE strpos(CAST(w.data AS text), q) > 0)
    UNION ALL
    (SELECT ticket, event_id, NULL, true FROM part ORDER BY ticket DESC, event_id DESC LIMIT 1)""")
INPUT: Final = text(f"""
    SELECT r.id, r.operator, r.raw, r.message, r.dropped_at, t.id AS ticket,
           t.id IS NULL OR ({HAS_ENDED}) AS has_ended
      FROM (SELECT * FROM rejected_input WHERE id > :id ORDER BY id LIMIT :limit) AS r
      LEFT JOIN operator o ON o.code = r.operator
      LEFT JOIN LATERAL (SELECT * FROM ticket
                          WHERE operator = o.id AND ticket_id = r.ticket_id LIMIT 1) AS t ON true
     ORDER BY r.id""")  # noqa: S608 - a constant
INTERVENTIONS: Final = text("""
    SELECT id, operator, who, why, facts FROM intervention WHERE id > :id ORDER BY id LIMIT :limit
       FOR UPDATE""")
JOBS: Final = text("""
    SELECT id, kind, why, message, arguments, reasons, position, ended_at FROM job
     WHERE id > :id ORDER BY id LIMIT :limit""")
UPDATE_JOB: Final = text("""
    UPDATE job SET why = :why, message = :message, arguments = CAST(:arguments AS jsonb),
           reasons = CAST(:reasons AS jsonb), position = CAST(:position AS jsonb)
     WHERE id = :id AND ended_at IS NOT NULL""")
# Texts that it does not need to go on. In its batch it is passed by: no erasure waits for another.
UPDATE_RUNNING: Final = text("""
    UPDATE job SET why = :why, message = :message
     WHERE id = (SELECT id FROM job WHERE id = :id AND ended_at IS NULL
                    FOR NO KEY UPDATE SKIP LOCKED)""")
ERASES: Final = "erase_player"  # the kind of job; its arguments name no player
LEFT: Final = "left"  # of a position: a job that has not ended names the player
# Kept for a day: a response to a client that sent the same request twice.
RESPONSES: Final = text("""
    UPDATE kept_response SET body = :blank
     WHERE EXISTS (SELECT FROM unnest(CAST(:forms AS text[])) AS f WHERE strpos(body, f) > 0)""")
CIRCUITS: Final = text("""
    UPDATE circuit SET reason = :erased
     WHERE operator = :operator
       AND EXISTS (SELECT FROM unnest(CAST(:forms AS text[])) AS f WHERE strpos(reason, f) > 0)""")


@dataclass(frozen=True, slots=True)
class Search:
    """Who is searched for, by which erasure, and when."""

    erasure: int
    operator: int
    code: str
    player: PlayerName
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkResult:
    """What a part of a walk did. *position*: the last row; None: there are no more.

    *tickets*: those to be blanked once they end. *input_only*: the same, but only what names the
    player in raw input about them.
    """

    position: Position | None
    read: int
    tickets: tuple[int, ...] = ()
    input_only: tuple[int, ...] = ()
    counts: Counter[str] = field(default_factory=Counter)


Walk = Callable[[Connection, Search, Position, int], WalkResult]


def walk_tickets(
    connection: Connection,
    search: Search,
    position: Position,
    limit: int,
) -> WalkResult:
    """Find the player's tickets by their index."""
    parameters = {
        "operator": search.operator,
        "forms": list(search.player.forms),
        "id": position.get("id", 0),
        "limit": limit,
    }
    ids = tuple(connection.execute(TICKETS, parameters).scalars())
    return WalkResult(position={"id": ids[-1]} if ids else None, read=len(ids), tickets=ids)


def walk_events(
    connection: Connection,
    search: Search,
    position: Position,
    limit: int,
) -> WalkResult:
    """Find tickets by events that name the player although the ticket itself does not."""
    parameters = {
        "operator": search.operator,
        "quoted": list(search.player.quoted),
        "ticket": position.get("ticket", 0),
        "event_id": position.get("event_id", ""),
        "limit": limit,
    }
    rows = connection.execute(EVENTS, parameters).all()
    if not rows:
        return WalkResult(position=None, read=0)
    tickets = {row.ticket for row in rows if not row.is_last and search.player.is_in_json(row.data)}
    last = next(row for row in rows if row.is_last)
    position = {"ticket": last.ticket, "event_id": last.event_id}
    return WalkResult(position=position, read=limit, tickets=tuple(sorted(tickets)))


def walk_input(
    connection: Connection, search: Search, position: Position, limit: int
) -> WalkResult:
    """Blank rejected input that names the player, unless a person may still retry it."""
    parameters = {"id": position.get("id", 0), "limit": min(limit, INPUT_MAX)}
    rows = connection.execute(INPUT, parameters).all()
    if not rows:
        return WalkResult(position=None, read=0)
    player = search.player
    named = [
        row
        for row in rows
        if row.operator in (search.code, None)
        and (player.is_in_raw(bytes(row.raw)) or player.is_in_text(row.message))
    ]
    waiting = [row for row in named if row.dropped_at is None and not row.has_ended]
    blanked = blank_input(
        connection, [row.id for row in named if row not in waiting], now=search.now
    )
    return WalkResult(
        position={"id": rows[-1].id},
        read=len(rows),
        input_only=tuple(sorted({row.ticket for row in waiting})),
        counts=+Counter(inputs=blanked),
    )


def walk_interventions(
    connection: Connection,
    search: Search,
    position: Position,
    limit: int,
) -> WalkResult:
    """Blank why people did something where it names the player, and what they named."""
    parameters = {"id": position.get("id", 0), "limit": limit}
    rows = connection.execute(INTERVENTIONS, parameters).all()
    if not rows:
        return WalkResult(position=None, read=0)
    player = search.player
    named = [
        row
        for row in rows
        if row.operator in (search.code, None)
        and (player.is_in_text(row.why) or player.removed_from(row.facts) != row.facts)
    ]
    blanked = blank_interventions(connection, named, player)
    return WalkResult(
        position={"id": rows[-1].id}, read=len(rows), counts=+Counter(interventions=blanked)
    )


def walk_jobs(
    connection: Connection,
    search: Search,
    position: Position,
    limit: int,
) -> WalkResult:
    """Blank what jobs say of the player; what one still needs to go on, when it has ended."""
    parameters = {"id": position.get("id", 0), "limit": limit}
    rows = connection.execute(JOBS, parameters).all()
    if not rows:
        return WalkResult(position=None, read=0)
    counts: Counter[str] = Counter()
    is_left = position.get(LEFT, False)
    for row in rows:
        texts = {name: getattr(row, name) for name in ("why", "message")}
        objects = {name: getattr(row, name) for name in ("arguments", "reasons", "position")}
        without = search.player.removed_from({**texts, **objects})
        if without == {**texts, **objects}:
            continue
        texts_without = {name: without[name] for name in texts}
        if row.ended_at is None:
            needs = row.kind != ERASES and any(without[name] != objects[name] for name in objects)
            updated = connection.execute(UPDATE_RUNNING, {"id": row.id, **texts_without})
            is_left = is_left or needs or not updated.rowcount
        else:
            written = {
                name: None if without[name] is None else json.dumps(without[name])
                for name in objects
            }
            updated = connection.execute(UPDATE_JOB, {"id": row.id, **texts_without, **written})
        counts["jobs"] += updated.rowcount
    reached = {"id": rows[-1].id, **({LEFT: True} if is_left else {})}
    return WalkResult(position=reached, read=len(rows), counts=+counts)


def blank_small_tables(connection: Connection, search: Search) -> Counter[str]:
    """Blank what is stored for a day or overwritten again and again, each in one statement."""
    forms = list(dict.fromkeys((*search.player.forms, *(q[1:-1] for q in search.player.quoted))))
    blanked = connection.execute(RESPONSES, {"forms": forms, "blank": '{"erased":true}'})
    circuits = connection.execute(
        CIRCUITS, {"forms": forms, "operator": search.operator, "erased": ERASED}
    )
    return +Counter(responses=blanked.rowcount, circuits=circuits.rowcount)


# In this order; the tickets first, so that what has ended is blanked within seconds.
WALKS: Final[Mapping[str, Walk]] = {
    "tickets": walk_tickets,
    "inputs": walk_input,
    "interventions": walk_interventions,
    "jobs": walk_jobs,
    "events": walk_events,
}
# What may be written about a ticket while the erasure waits for its end.
WALKED_AGAIN: Final = ("inputs", "interventions", "jobs")
