"""Begins erasures, and reports how far each is. A report never names the player."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from models.erasure.blank import HAS_ENDED
from models.erasure.names import PlayerName
from models.history.ticket_status import TICKET_STATUS
from models.operators.listing import unknown_operator
from models.platform.errors import InvalidError, NotFoundError
from models.vocabulary import ErasurePhase

PLAYER_ID_MAX: Final = 255  # characters, as in events
WAITING_SHOWN_MAX: Final = 50
LISTED_MAX: Final = 1000
COUNT_MAX: Final = 10_000
NOT_COVERED: Final = (
    "not covered: new tickets of the player, what is still on the stream, ids that were built out"
    " of the player's, logs, and backups until they expire"
)

OPERATOR: Final = text("SELECT id FROM operator WHERE code = :code")
BEGIN: Final = text("""
    INSERT INTO erasure (operator, player_id, fingerprint, who, started_at)
    VALUES (:operator, :player_id, :fingerprint, :who, :now)
        ON CONFLICT (operator, player_id) WHERE ended_at IS NULL DO NOTHING""")
UNDER_WAY: Final = text("""
    SELECT id, job FROM erasure
     WHERE operator = :operator AND player_id = :player_id AND ended_at IS NULL
       FOR NO KEY UPDATE""")
NOTE_JOB: Final = text("UPDATE erasure SET job = :job WHERE id = :id")
_ERASURE: Final = """
    SELECT e.id, o.code AS operator, e.fingerprint, e.who, e.phase, e.counts, e.job, e.started_at,
           e.ended_at
      FROM erasure e JOIN operator o ON o.id = e.operator"""
FIND: Final = text(f"{_ERASURE} WHERE e.id = :id")
LIST: Final = text(f"""{_ERASURE}
     WHERE (CAST(:operator AS text) IS NULL OR o.code = :operator)
       AND (CAST(:fingerprints AS text[]) IS NULL OR e.fingerprint = ANY(:fingerprints))
       AND (CAST(:before AS bigint) IS NULL OR e.id < :before)
     ORDER BY e.id DESC LIMIT :limit""")
WAITING: Final = text(f"""
    SELECT t.ticket_id, {TICKET_STATUS} AS status, t.unfinished, t.parked, t.close_due_at
      FROM erasure_ticket w JOIN ticket t ON t.id = w.ticket
     WHERE w.erasure = :id ORDER BY w.ticket LIMIT :limit""")  # noqa: S608 - a constant
_TICKETS_OF: Final = """
    SELECT * FROM ticket
     WHERE operator = :operator AND details ->> 'player_id' = ANY(:forms)
       AND (details ->> 'player_id') IS NOT NULL
     LIMIT :limit"""
COUNT_TICKETS: Final = text(f"SELECT count(*) FROM ({_TICKETS_OF}) AS t")  # noqa: S608 - a constant
ESTIMATE: Final = text(f"""
    SELECT count(*) AS tickets, count(*) FILTER (WHERE NOT ({HAS_ENDED})) AS waiting,
           max(t.close_due_at) FILTER (WHERE NOT ({HAS_ENDED})) AS last_close_due_at
      FROM ({_TICKETS_OF}) AS t""")  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erasure as it stands. *counts*: rows that were blanked, by place."""

    id: int
    operator: str
    fingerprint: str
    who: str
    phase: ErasurePhase
    counts: Mapping[str, int]
    job: int | None
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class WaitingTicket:
    """A ticket that must end before its player can be erased from it."""

    ticket_id: str
    status: str
    unfinished: int  # notices
    parked: int  # events
    close_due_at: datetime | None


@dataclass(frozen=True, slots=True)
class ErasureReport:
    """An erasure and the tickets it waits for; *more*: there are others, which are not listed."""

    erasure: Erasure
    waiting: tuple[WaitingTicket, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class ErasureEstimate:
    """What an erasure would begin with: tickets by their index; *exact*: all were counted.

    What only a search through the tables finds is not in it.
    """

    tickets: int
    waiting: int  # of them: those that have not ended
    last_close_due_at: datetime | None
    exact: bool


def begin_erasure(
    connection: Connection,
    operator: str,
    player_id: str,
    *,
    fingerprint: str,
    who: str,
    now: datetime,
) -> Erasure:
    """Begin an erasure inside the caller's transaction; one under way is returned as it is.

    Raises OperatorNotFound, InvalidError.
    """
    parameters = {
        "operator": _operator(connection, operator, player_id),
        "player_id": player_id,
        "fingerprint": fingerprint,
        "who": who,
        "now": now,
    }
    connection.execute(BEGIN, parameters)
    return find_erasure(connection, connection.execute(UNDER_WAY, parameters).one().id)


def note_job(connection: Connection, erasure_id: int, job: int) -> None:
    """Note the job that carries the erasure on."""
    connection.execute(NOTE_JOB, {"id": erasure_id, "job": job})


def find_erasure(connection: Connection, erasure_id: int) -> Erasure:
    """Return the erasure. Raises NotFoundError."""
    row = connection.execute(FIND, {"id": erasure_id}).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no erasure {erasure_id}; they are listed")
    return _erasure(row)


def report_erasure(connection: Connection, erasure_id: int) -> ErasureReport:
    """Return the erasure with the tickets it waits for. Raises NotFoundError."""
    parameters = {"id": erasure_id, "limit": WAITING_SHOWN_MAX + 1}
    rows = connection.execute(WAITING, parameters).mappings()
    waiting = tuple(WaitingTicket(**row) for row in rows)
    return ErasureReport(
        find_erasure(connection, erasure_id),
        waiting[:WAITING_SHOWN_MAX],
        more=len(waiting) > WAITING_SHOWN_MAX,
    )


def list_erasures(
    connection: Connection,
    *,
    operator: str | None = None,
    fingerprints: Collection[str] | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Erasure]:
    """List erasures, newest first: of an operator, or of the player with one of *fingerprints*.

    *before* is the id at which the previous page ended. Raises OperatorNotFound.
    """
    if operator is not None:
        _operator_id(connection, operator)
    parameters = {
        "operator": operator,
        "fingerprints": None if fingerprints is None else list(fingerprints),
        "before": before,
        "limit": min(limit, LISTED_MAX),
    }
    return [_erasure(row) for row in connection.execute(LIST, parameters)]


def estimate_erasure(connection: Connection, operator: str, player_id: str) -> ErasureEstimate:
    """Return what an erasure would begin with. Raises OperatorNotFound, InvalidError."""
    parameters = {
        "operator": _operator(connection, operator, player_id),
        "forms": list(PlayerName(player_id).forms),
        "limit": COUNT_MAX + 1,
    }
    row = connection.execute(ESTIMATE, parameters).one()
    return ErasureEstimate(
        min(row.tickets, COUNT_MAX),
        min(row.waiting, COUNT_MAX),
        row.last_close_due_at,
        exact=row.tickets <= COUNT_MAX,
    )


def count_tickets(connection: Connection, erasure_id: int, *, limit: int) -> int:
    """Return how many tickets the erasure begins with, up to *limit*."""
    row = connection.execute(
        text("SELECT operator, player_id FROM erasure WHERE id = :id"), {"id": erasure_id}
    ).one_or_none()
    if row is None or row.player_id is None:
        return 0
    forms = list(PlayerName(row.player_id).forms)
    parameters = {"operator": row.operator, "forms": forms, "limit": limit}
    count: int = connection.execute(COUNT_TICKETS, parameters).scalar_one()
    return count


def _operator(connection: Connection, code: str, player_id: str) -> int:
    if not 1 <= len(player_id) <= PLAYER_ID_MAX or "\x00" in player_id or not player_id.strip():
        raise InvalidError(f"a player's id has 1 to {PLAYER_ID_MAX} characters")
    return _operator_id(connection, code)


def _operator_id(connection: Connection, code: str) -> int:
    operator: int | None = connection.execute(OPERATOR, {"code": code}).scalar_one_or_none()
    if operator is None:
        raise unknown_operator(connection, code)
    return operator


def _erasure(row: Row[Any]) -> Erasure:
    return Erasure(
        id=row.id,
        operator=row.operator,
        fingerprint=row.fingerprint,
        who=row.who,
        phase=ErasurePhase(row.phase),
        counts=dict(row.counts),
        job=row.job,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )
