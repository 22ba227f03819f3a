"""Judge a rehearsal: the partner's ledger, the tickets and the event log against the truth."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text

from models.events.stream_contract import EVENT_FIELD
from models.platform.timestamps import parse_timestamp
from producers.simulation.rehearsal.lives import Kind, RehearsedLife
from producers.simulation.rehearsal.world import CLOSE_DELAY, GRACE, World
from producers.simulation.sequence_rules import RESULTS
from producers.simulation.verdict import Verdict, judge_all, sequences

TICKETS = text("""
    SELECT o.code, t.ticket_id, t.status, t.result
      FROM ticket t JOIN operator o ON o.id = t.operator WHERE o.id = ANY(:operators)""")
# What every committed state must satisfy, whatever has happened: each query finds the breaches.
BREACHES = {
    "a ticket's head is not its oldest unfinished notice": text("""
        SELECT t.ticket_id FROM ticket t
         WHERE t.operator = ANY(:operators)
           AND (SELECT array_agg(n.number) FROM notice n WHERE n.ticket = t.id AND n.head)
               IS DISTINCT FROM
               (SELECT array_agg(f.number) FROM (
                    SELECT number FROM notice n
                     WHERE n.ticket = t.id AND (n.ended IS NULL OR n.ended = 'dead')
                     ORDER BY number LIMIT 1) f)"""),
    "unfinished notices or parked events are miscounted": text("""
        SELECT t.ticket_id FROM ticket t
         WHERE t.operator = ANY(:operators)
           AND (t.unfinished <> (SELECT count(*) FROM notice n WHERE n.ticket = t.id
                                    AND (n.ended IS NULL OR n.ended = 'dead'))
             OR t.parked <> (SELECT count(*) FROM ticket_event e
                              WHERE e.ticket = t.id AND e.outcome = 'parked'))"""),
    "the clock runs without, or stands still after, the delivery of the standing result": text("""
        SELECT t.ticket_id FROM ticket t
         WHERE t.operator = ANY(:operators) AND t.status = 'resulted'
           AND (t.close_due_at IS NOT NULL) <> EXISTS (
                   SELECT FROM notice n WHERE n.ticket = t.id AND n.generation = t.generation
                      AND n.action IN ('ticket_win', 'ticket_lost', 'ticket_void', 'ticket_refund')
                      AND n.ended = 'delivered')"""),
    "closed earlier than the delay after its result was delivered": text("""
        SELECT t.ticket_id FROM ticket t JOIN operator o ON o.id = t.operator
          JOIN notice n ON n.ticket = t.id AND n.generation = t.generation
           AND n.action IN ('ticket_win', 'ticket_lost', 'ticket_void', 'ticket_refund')
         WHERE t.operator = ANY(:operators) AND t.status = 'closed'
           AND (n.ended IS DISTINCT FROM 'delivered' OR t.closed_at < n.ended_at + o.close_delay)
           AND o.protocol = 'pam'"""),
}
TOO_LATE = text("""
    SELECT t.ticket_id, e.entry_id, n.ended_at + o.close_delay AS due_at
      FROM ticket t JOIN operator o ON o.id = t.operator
      JOIN notice n ON n.ticket = t.id AND n.generation = t.generation
       AND n.action IN ('ticket_win', 'ticket_lost', 'ticket_void', 'ticket_refund')
      JOIN ticket_event e ON e.ticket = t.id
     WHERE t.operator = ANY(:operators) AND t.status = 'closed'
       AND e.action = 'ticket_rollback' AND e.reason = 'ticket_closed'""")
# An entry is in the log (itself, or as a repeat of its event id), or kept raw.
LOGGED = text("""
    SELECT e.event_id FROM ticket_event e JOIN ticket t ON t.id = e.ticket
     WHERE t.operator = ANY(:operators)""")
KEPT_RAW = text("SELECT entry_id FROM rejected_input")


@dataclass(slots=True)
class RehearsalVerdict:
    """What was found. *words* names the first faults; none: all promises were kept."""

    verdict: Verdict
    lives: Counter[str] = field(default_factory=Counter)
    words: list[str] = field(default_factory=list)


def breaches(world: World) -> list[str]:
    """Every invariant that the database breaks now, with a ticket that shows it."""
    found: list[str] = []
    with world.transaction() as connection:
        for name, query in BREACHES.items():
            tickets = connection.execute(query, {"operators": list(world.operators)})
            found += [f"{row.ticket_id}: {name}" for row in tickets.all()]
        for row in connection.execute(TOO_LATE, {"operators": list(world.operators)}):
            if world.came_at[row.entry_id] < row.due_at:  # in truth, whatever its id claims
                found.append(f"{row.ticket_id}: closed over a rollback that was there in time")
    return found


def judge_rehearsal(
    world: World, lives: Sequence[RehearsedLife], *, contested: frozenset[str] = frozenset()
) -> RehearsalVerdict:
    """Judge what became of *lives* once everything has come to its end."""
    verdict = judge_all(world.partner.ledger, close_delay=CLOSE_DELAY)
    judgement = RehearsalVerdict(verdict, words=list(verdict.words))
    if verdict.late_repeats:
        judgement.words.append(f"{verdict.late_repeats} repeats came after their follower")
    judgement.words += breaches(world)
    judgement.words += _careless_calls(world)
    told = sequences(world.partner.ledger)
    orderly = _applied_in_order(world)
    tickets = _tickets(world)
    judgement.words += _unaccounted(world)
    for life in lives:
        name = (life.operator, life.ticket_id)
        judgement.lives[life.kind] += 1
        if life.ticket_id in contested:
            continue
        fault = _fault(life, tickets[name], told.get(name, ()), whole=name in orderly)
        if fault is not None:
            judgement.words.append(f"{'/'.join(name)} ({life.kind}): {fault}")
    return judgement


def _careless_calls(world: World) -> list[str]:
    """Creates sent twice (rule 10), and calls too soon after one without an answer (rule 15)."""
    found: list[str] = []
    sent_once: set[str] = set()
    quiet_until: dict[tuple[str, str], datetime] = {}
    for call in world.partner.ledger:
        name = (call.operator, call.ticket_id)
        if call.received_at < quiet_until.get(name, call.received_at):
            found.append(f"{call.idempotency_key}: sent while the ticket had to be left alone")
        if call.answered_at is None:
            quiet_until[name] = call.received_at + GRACE
        if call.action in ("ticket_create", "ticket_reserve"):
            if call.idempotency_key in sent_once:
                found.append(f"{call.idempotency_key}: sent twice")
            sent_once.add(call.idempotency_key)
    discards = Counter(
        (call.operator, call.ticket_id)
        for call in world.partner.ledger
        if call.action == "ticket_discard" and call.taken and not call.repeats
    )
    for call in world.partner.ledger:
        unheard = call.action in ("ticket_create", "ticket_reserve") and call.answered_at is None
        if unheard and discards[call.operator, call.ticket_id] < 2:  # noqa: PLR2004 - protocol H25
            found.append(f"{call.idempotency_key}: in doubt, and not discarded twice")
    return found


def _unaccounted(world: World) -> list[str]:
    """Entries that are neither in the event log nor kept raw: lost."""
    with world.transaction() as connection:
        logged = set(connection.execute(LOGGED, {"operators": list(world.operators)}).scalars())
        raw = set(connection.execute(KEPT_RAW).scalars())
    lost: list[str] = []
    for entry in world.published:
        if entry.id in raw:
            continue
        event = json.loads(entry.fields[EVENT_FIELD])
        if event.get("event_id", f"stream:{entry.id}") not in logged:
            lost.append(f"entry {entry.id} was lost: {event}")
    return lost


def _tickets(world: World) -> dict[tuple[str, str], Row[Any]]:
    with world.transaction() as connection:
        rows = connection.execute(TICKETS, {"operators": list(world.operators)}).all()
    return {(row.code, row.ticket_id): row for row in rows}


def _applied_in_order(world: World) -> set[tuple[str, str]]:
    """The tickets whose statements were applied in the order in which they happened."""
    firsts: dict[tuple[str, str], dict[datetime, None]] = {}
    for entry in world.applied:
        try:
            event = json.loads(entry.fields[EVENT_FIELD])
            name = (event["data"]["operator"], event["data"]["ticket_id"])
        except (ValueError, KeyError, TypeError):
            continue  # rubbish
        firsts.setdefault(name, {}).setdefault(parse_timestamp(event["occurred_at"]))
    return {name for name, moments in firsts.items() if list(moments) == sorted(moments)}


def _fault(
    life: RehearsedLife, ticket: Row[Any], told: tuple[str, ...], *, whole: bool
) -> str | None:
    """What is wrong with how a life ended; None: it is as promised. *whole*: told in full."""
    ended, wanted = (ticket.status, ticket.result), (life.ideal.status, life.ideal.result)
    said = f"ended {ended}, told {told}; the truth is {wanted}, {life.ideal.told}"
    if life.kind is Kind.CREATED and ticket.status == "cancelled":
        safe = set(told) <= {"ticket_create", "ticket_reserve", "ticket_discard"}
        return None if safe and told[-1:] == ("ticket_discard",) else said
    if not life.ideal.lawful:
        return None if ticket.status == "closed" else said
    if ended != wanted:
        return said
    if life.kind is Kind.NUMBERED or (whole and life.kind is not Kind.CREATED):
        return None if told == life.ideal.told else said
    final = [action for action in life.ideal.told if action in RESULTS][-1:]
    return None if told[-2:] == (*final, "ticket_closed") else said
