"""Check a rehearsal: the partner's ledger, tickets and event log against what really happened."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import text

from models.events.stream_contract import EVENT_FIELD
from models.notices.key import key_of
from models.platform.timestamps import parse_timestamp
from models.vocabulary import Action
from producers.simulation.rehearsal.invariants import broken_invariants
from producers.simulation.rehearsal.lives import Kind, RehearsedLife
from producers.simulation.rehearsal.world import CLOSE_DELAY, GRACE, REJECTED_ENTRIES, World
from producers.simulation.sequence_rules import RESULTS
from producers.simulation.verdict import Verdict, accepted_actions, check_all_sequences

TICKETS = text("""
    SELECT o.code, t.ticket_id, t.status, t.result
      FROM ticket t JOIN operator o ON o.id = t.operator WHERE o.id = ANY(:operators)""")
# The last notice of each ticket that its partner took, by Slipway's order.
LAST_DELIVERED = text("""
    SELECT DISTINCT ON (t.id) o.code, t.ticket_id, n.action, n.generation
      FROM ticket t JOIN operator o ON o.id = t.operator JOIN notice n ON n.ticket = t.id
     WHERE t.operator = ANY(:operators) AND n.ended = 'delivered' AND o.ended_at IS NULL
     ORDER BY t.id, n.number DESC""")
# Once a partnership has ended: what still changes, or could stay for good (rule 24).
NOT_ENDED = text("""
    SELECT t.ticket_id FROM ticket t JOIN operator o ON o.id = t.operator
     WHERE t.operator = ANY(:operators) AND o.ended_at IS NOT NULL
       AND (t.status NOT IN ('absent', 'cancelled', 'closed') OR t.unfinished > 0 OR t.parked > 0
            OR t.close_due_at IS NOT NULL OR (t.closed_at IS NULL AND t.cancelled_at IS NULL))""")
# An entry is in the log (itself, or as a repeat of its event id), or stored as rejected input.
LOGGED = text("""
    SELECT e.event_id FROM ticket_event e JOIN ticket t ON t.id = e.ticket
     WHERE t.operator = ANY(:operators)""")


@dataclass(slots=True)
class RehearsalVerdict:
    """The result of a rehearsal. Without *violations* all promises were kept."""

    partner: Verdict
    lives: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


def check_rehearsal(
    world: World, lives: Sequence[RehearsedLife], *, contested: frozenset[str] = frozenset()
) -> RehearsalVerdict:
    """Check the outcome of *lives* once everything has finished.

    A sequence that the end of its partnership cut off need not be complete (rule 24).
    """
    whole = [call for call in world.partner.ledger if call.operator not in world.ended]
    cut = [call for call in world.partner.ledger if call.operator in world.ended]
    partner = check_all_sequences(whole, close_delay=CLOSE_DELAY)
    broken_off = check_all_sequences(cut, close_delay=CLOSE_DELAY, complete=False)
    result = RehearsalVerdict(
        partner, violations=[*partner.violations, *broken_off.violations, *_not_ended(world)]
    )
    if late_repeats := partner.late_repeats + broken_off.late_repeats:
        result.violations.append(f"{late_repeats} repeats came after the notice that follows them")
    result.violations += broken_invariants(world)
    result.violations += _premature_calls(world)
    result.violations += _left_behind(world)
    notices = accepted_actions(world.partner.ledger)
    orderly = _applied_in_order(world)
    tickets = _tickets(world)
    result.violations += _lost_entries(world)
    for life in lives:
        name = (life.operator, life.ticket_id)
        result.lives[life.kind] += 1
        if life.ticket_id in contested:
            continue
        fault = _fault(life, tickets[name], notices.get(name, ()), whole=name in orderly)
        if fault is not None:
            result.violations.append(f"{'/'.join(name)} ({life.kind}): {fault}")
    return result


def _premature_calls(world: World) -> list[str]:
    """Return creates sent twice (rule 10), and calls too soon after a lost response (rule 15)."""
    violations: list[str] = []
    sent_once: set[str] = set()
    quiet_until: dict[tuple[str, str], datetime] = {}
    for call in world.partner.ledger:
        name = (call.operator, call.ticket_id)
        if call.received_at < quiet_until.get(name, call.received_at):
            violations.append(f"{call.idempotency_key}: sent during the grace period of the ticket")
        if call.answered_at is None:
            quiet_until[name] = call.received_at + GRACE
        if call.action in ("ticket_create", "ticket_reserve"):
            if call.idempotency_key in sent_once:
                violations.append(f"{call.idempotency_key}: sent twice")
            sent_once.add(call.idempotency_key)
    discards = Counter(
        (call.operator, call.ticket_id)
        for call in world.partner.ledger
        if call.action == "ticket_discard" and call.taken and not call.repeats
    )
    for call in world.partner.ledger:
        unheard = call.action in ("ticket_create", "ticket_reserve") and call.answered_at is None
        if unheard and discards[call.operator, call.ticket_id] < 2:  # noqa: PLR2004 - H25
            violations.append(f"{call.idempotency_key}: in doubt, but not discarded twice")
    return violations


def _not_ended(world: World) -> list[str]:
    """Return the tickets that the end of their partnership has left behind."""
    with world.transaction() as connection:
        rows = connection.execute(NOT_ENDED, {"operators": list(world.operators)}).all()
    return [f"{row.ticket_id}: did not end with its partnership" for row in rows]


def _lost_entries(world: World) -> list[str]:
    """Return lost entries: neither in the event log nor stored as rejected input."""
    with world.transaction() as connection:
        logged = set(connection.execute(LOGGED, {"operators": list(world.operators)}).scalars())
        raw = set(connection.execute(REJECTED_ENTRIES).scalars())
    logged |= world.removed_events
    raw |= world.removed_entries
    lost: list[str] = []
    for entry in world.published:
        if entry.id in raw:
            continue
        event = json.loads(entry.fields[EVENT_FIELD])
        if event.get("event_id", f"stream:{entry.id}") not in logged:
            lost.append(f"entry {entry.id} was lost: {event}")
    return lost


def _left_behind(world: World) -> list[str]:
    """Return the tickets whose partner does not end where they stand (rule 22).

    A partner that does what each call says, repeats included, as one does that restored a backup.
    """
    ends: dict[tuple[str, str], str] = {}
    for call in world.partner.ledger:
        if call.taken:
            ends[call.operator, call.ticket_id] = call.idempotency_key
    with world.transaction() as connection:
        rows = connection.execute(LAST_DELIVERED, {"operators": list(world.operators)}).all()
    return [
        f"{row.ticket_id}: the partner ended with {ends.get((row.code, row.ticket_id))}, not with"
        f" {row.action} of generation {row.generation}"
        for row in rows
        if ends.get((row.code, row.ticket_id))
        != key_of(row.code, row.ticket_id, Action(row.action), row.generation)
    ]


def _tickets(world: World) -> dict[tuple[str, str], tuple[str, str]]:
    """Return status and result of each ticket; of one that was removed, as it stood then."""
    with world.transaction() as connection:
        rows = connection.execute(TICKETS, {"operators": list(world.operators)}).all()
    return world.removed | {(row.code, row.ticket_id): (row.status, row.result) for row in rows}


def _applied_in_order(world: World) -> set[tuple[str, str]]:
    """Return the tickets whose events were applied in the order in which they happened."""
    firsts: dict[tuple[str, str], dict[datetime, None]] = {}
    for entry in world.applied:
        try:
            event = json.loads(entry.fields[EVENT_FIELD])
            name = (event["data"]["operator"], event["data"]["ticket_id"])
        except (ValueError, KeyError, TypeError):
            continue  # malformed
        firsts.setdefault(name, {}).setdefault(parse_timestamp(event["occurred_at"]))
    return {name for name, moments in firsts.items() if list(moments) == sorted(moments)}


def _fault(
    life: RehearsedLife, ended: tuple[str, str], notices: tuple[str, ...], *, whole: bool
) -> str | None:
    """Describe how a life's end is wrong. Returns None if it is right. *whole*: in full detail."""
    expected = (life.expected.status, life.expected.result)
    message = f"ended {ended}, {notices}; expected {expected}, {life.expected.notices}"
    if life.kind is Kind.CREATED and ended[0] == "cancelled":
        safe = set(notices) <= {"ticket_create", "ticket_reserve", "ticket_discard"}
        return None if safe and notices[-1:] == ("ticket_discard",) else message
    if not life.expected.consistent:
        return None if ended[0] == "closed" else message
    if ended != expected:
        return message
    if life.kind is Kind.NUMBERED or (whole and life.kind is not Kind.CREATED):
        return None if notices == life.expected.notices else message
    final = [action for action in life.expected.notices if action in RESULTS][-1:]
    return None if notices[-2:] == (*final, "ticket_closed") else message
