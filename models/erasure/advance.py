"""Advances an erasure by one bounded batch inside the caller's transaction (rule 25).

First those of its tickets that have ended are blanked, then the search goes on. When all has been
searched, it waits for the tickets that have not ended; when the last of them is blanked, it looks
once more through what people and publishers wrote meanwhile, and forgets the player's id.
"""

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from models.erasure.blank import blank_input_of, blank_tickets, lock_ended, removed_among
from models.erasure.names import PlayerName
from models.erasure.walks import LEFT, WALKED_AGAIN, WALKS, Search, blank_small_tables
from models.platform.errors import NotFoundError
from models.vocabulary import ErasurePhase

RECHECK: Final = timedelta(minutes=1)  # how often a ticket is looked at that has not ended
TICKETS_MAX: Final = 50  # blanked at once: each may have hundreds of rows
_AT_END: Final = "at_end"  # of a position: the walk is over

LOCK: Final = text("""
    SELECT e.*, o.code FROM erasure e JOIN operator o ON o.id = e.operator
     WHERE e.id = :id FOR NO KEY UPDATE OF e""")
ADD_TICKETS: Final = text("""
    INSERT INTO erasure_ticket (erasure, ticket, whole)
    SELECT :erasure, ticket, :whole FROM unnest(CAST(:tickets AS bigint[])) AS ticket
        ON CONFLICT (erasure, ticket) DO UPDATE SET whole = true
     WHERE excluded.whole AND NOT erasure_ticket.whole""")
NEXT_TICKETS: Final = text("""
    SELECT ticket, whole FROM erasure_ticket
     WHERE erasure = :erasure AND (checked_at IS NULL OR checked_at <= :before)
     ORDER BY checked_at NULLS FIRST, ticket LIMIT :limit""")
BLANKED: Final = text(
    "DELETE FROM erasure_ticket WHERE erasure = :erasure AND ticket = ANY(:tickets)"
)
CHECKED: Final = text("""
    UPDATE erasure_ticket SET checked_at = :now
     WHERE erasure = :erasure AND ticket = ANY(:tickets)""")
WAITS: Final = text("SELECT EXISTS (SELECT FROM erasure_ticket WHERE erasure = :erasure)")
STORE: Final = text("""
    UPDATE erasure
       SET phase = :phase, positions = CAST(:positions AS jsonb), counts = CAST(:counts AS jsonb)
     WHERE id = :id""")
FINISH: Final = text("""
    UPDATE erasure SET phase = 'done', player_id = NULL, positions = '{}', ended_at = :now,
           counts = CAST(:counts AS jsonb)
     WHERE id = :id""")


@dataclass(frozen=True, slots=True)
class ErasureStep:
    """What a batch did. *handled*: rows that were read or blanked. *wait*: nothing to do before."""

    phase: ErasurePhase
    handled: int
    wait: timedelta = timedelta(0)


def advance_erasure(
    connection: Connection, erasure_id: int, *, now: datetime, limit: int
) -> ErasureStep:
    """Do one batch of the erasure; at most *limit* rows are searched. Raises NotFoundError."""
    row = connection.execute(LOCK, {"id": erasure_id}).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no erasure {erasure_id}")
    if row.phase == ErasurePhase.DONE:
        return ErasureStep(ErasurePhase.DONE, 0)
    batch = _Batch(connection, row, now)
    waits_for_job = False
    handled = batch.blank_ended(min(limit, TICKETS_MAX))
    match ErasurePhase(row.phase):
        case ErasurePhase.SEARCHING:
            handled += batch.search(tuple(WALKS), limit)
            if batch.is_over(tuple(WALKS)):
                batch.phase = ErasurePhase.WAITING
        case ErasurePhase.WAITING if not batch.waits_for_tickets():
            batch.walk_again()
            batch.phase = ErasurePhase.FINISHING
        case ErasurePhase.FINISHING:
            handled += batch.search(WALKED_AGAIN, limit)
            if batch.is_over(WALKED_AGAIN):
                batch.counts += blank_small_tables(connection, batch.searched)
                waits_for_job = batch.waits_for_job()
                still = waits_for_job or batch.waits_for_tickets()
                batch.phase = ErasurePhase.WAITING if still else ErasurePhase.DONE
        case _:
            pass
    batch.store()
    idle = batch.phase is ErasurePhase.WAITING and row.phase == batch.phase and not handled
    return ErasureStep(batch.phase, handled, RECHECK if idle or waits_for_job else timedelta(0))


class _Batch:
    """One batch of an erasure whose row is locked."""

    def __init__(self, connection: Connection, row: Row[Any], now: datetime) -> None:
        self._connection, self._now = connection, now
        self.searched = Search(row.id, row.operator, row.code, PlayerName(row.player_id), now)
        self.phase = ErasurePhase(row.phase)
        self.counts: Counter[str] = Counter(row.counts)
        self._positions: dict[str, dict[str, Any]] = dict(row.positions)

    def blank_ended(self, limit: int) -> int:
        """Blank the next tickets that have ended; return how many were looked at."""
        erasure = self.searched.erasure
        parameters = {"erasure": erasure, "before": self._now - RECHECK, "limit": limit}
        rows = self._connection.execute(NEXT_TICKETS, parameters).all()
        if not rows:
            return 0
        looked_at = [row.ticket for row in rows]
        whole = {row.ticket for row in rows if row.whole}
        ended = lock_ended(self._connection, looked_at)
        player = self.searched.player
        self.counts += blank_tickets(
            self._connection, [id_ for id_ in ended if id_ in whole], player, now=self._now
        )
        others = [id_ for id_ in ended if id_ not in whole]
        self.counts += blank_input_of(self._connection, others, player, now=self._now)
        done = {*ended, *removed_among(self._connection, looked_at)}
        self._connection.execute(BLANKED, {"erasure": erasure, "tickets": sorted(done)})
        kept = sorted(set(looked_at) - done)
        self._connection.execute(CHECKED, {"erasure": erasure, "tickets": kept, "now": self._now})
        return len(done)

    def search(self, walks: tuple[str, ...], limit: int) -> int:
        """Do a part of the first of *walks* that is not over; return how many rows it read."""
        name = next((name for name in walks if not self._is_over(name)), None)
        if name is None:
            return 0
        position = self._positions.get(name, {})
        result = WALKS[name](self._connection, self.searched, position, limit)
        self._positions[name] = (
            {**position, _AT_END: True} if result.position is None else dict(result.position)
        )
        self.counts += result.counts
        self._add(result.tickets, whole=True)
        self._add(result.input_only, whole=False)
        return result.read

    def is_over(self, walks: tuple[str, ...]) -> bool:
        """Return whether all of *walks* are over."""
        return all(map(self._is_over, walks))

    def walk_again(self) -> None:
        """Let second walks begin where the first ended; of jobs, which change, at the start."""
        for name in WALKED_AGAIN:
            position = self._positions.get(name, {})
            self._positions[name] = {
                key: value for key, value in position.items() if key != _AT_END and name != "jobs"
            }

    def waits_for_tickets(self) -> bool:
        """Return whether a ticket is still to be blanked."""
        waits: bool = self._connection.execute(
            WAITS, {"erasure": self.searched.erasure}
        ).scalar_one()
        return waits

    def waits_for_job(self) -> bool:
        """Return whether a job that has not ended names the player, as the last walk found."""
        return LEFT in self._positions.get("jobs", {})

    def store(self) -> None:
        """Store how far it is; at the end the player's id is forgotten."""
        counts = json.dumps(dict(self.counts))
        erasure = self.searched.erasure
        if self.phase is ErasurePhase.DONE:
            self._connection.execute(FINISH, {"id": erasure, "now": self._now, "counts": counts})
            return
        self._connection.execute(
            STORE,
            {
                "id": erasure,
                "phase": self.phase.value,
                "positions": json.dumps(self._positions),
                "counts": counts,
            },
        )

    def _is_over(self, name: str) -> bool:
        return _AT_END in self._positions.get(name, {})

    def _add(self, tickets: tuple[int, ...], *, whole: bool) -> None:
        if tickets:
            parameters = {
                "erasure": self.searched.erasure,
                "tickets": list(tickets),
                "whole": whole,
            }
            self._connection.execute(ADD_TICKETS, parameters)
