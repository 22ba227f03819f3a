"""A partner's circuit breaker: opened and closed by what its attempts met, stored in one row.

A notice may only die of a partner that takes other notices: a permanent refusal is believed while
the circuit is closed, and tried again while it is open. The first part of this module decides, in
memory; the second one reads, locks and stores the rows.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from pydantic_core import to_json
from sqlalchemy import Connection, TextClause, text

from models.outbox.causes import LAST_PROBLEM, NO_DETAILS
from models.outbox.values import Attempt, Dead, Delivered, RetryLater, TokenTrouble, Unanswered
from models.vocabulary import SENT_ONCE

REFUSALS_MAX: Final = 10  # in a row: this one proves that something else is wrong
PROBE_INTERVAL: Final = timedelta(seconds=15)
_LOCKED_OUT: Final = frozenset({401, 403})
_SUCCESS: Final = range(200, 300)


# --- Deciding -------------------------------------------------------------------------------------


@dataclass(slots=True)
class CircuitState:
    """A partner's circuit while attempts are recorded. *changed*: it must be stored."""

    operator: int
    # Notices refused permanently since the last success; repeats do not count (rule 22).
    refused: int = 0
    opened_at: datetime | None = None
    reason: str | None = None  # why it was opened last, and what its last probe met
    closed_at: datetime | None = None
    probe_at: datetime | None = None  # when the next probe may be claimed
    probe_youngest: bool = False
    changed: bool = False

    @property
    def is_open(self) -> bool:
        """Only probes are sent, and no attempt counts against a notice's schedule."""
        return self.opened_at is not None and self.closed_at is None

    @property
    def is_healthy(self) -> bool:
        """A success changes nothing."""
        return not self.is_open and not self.refused

    def open(self, reason: str, *, now: datetime) -> None:
        """Send nothing but probes from *now* on, the first one after the interval."""
        if not self.is_open:
            self.opened_at, self.reason, self.closed_at = now, reason, None
            self.probe_at, self.probe_youngest = now + PROBE_INTERVAL, False
            self.changed = True

    def on_success(self, attempt: Attempt, *, now: datetime) -> None:
        """Close the circuit: the partner works again, and what waits for it is due.

        An attempt that was claimed before the circuit opened proves nothing about the time since. A
        repeat proves that the partner answers and accepts our credentials, not that it takes
        notices which it does not know: the count of refusals stays as it was (rule 22).
        """
        if self.is_open and not self._is_probe(attempt):
            return
        if self.is_open:
            self.closed_at, self.probe_at, self.changed = now, None, True
        if self.refused and not attempt.claim.repeat:
            self.refused, self.changed = 0, True

    def on_failure(self, attempt: Attempt, *, now: datetime) -> Attempt:
        """Return the attempt as it counts: a failing partner cannot kill a notice.

        A create or reserve that is refused got its response: it says nothing about the partner. Nor
        does a repeat: the partner has it, and may say so (rule 22). The pause that the partner asks
        for holds for the next probe too.
        """
        refusal = is_refusal(attempt)
        if is_locked_out(attempt):
            self.open(_lock_out(attempt), now=now)
        elif refusal and not self.is_open and not attempt.claim.repeat:
            self.refused += 1
            self.changed = True
            if self.refused >= REFUSALS_MAX:
                problem = attempt.problem or NO_DETAILS
                self.open(
                    f"refused {REFUSALS_MAX} notices in a row{LAST_PROBLEM}{problem}", now=now
                )
        if self._is_probe(attempt):
            # A refused notice may be refused each time: the next probe takes the other end.
            self.probe_youngest = refusal and not self.probe_youngest
            self.probe_at = max(now, attempt.claim.claimed_at + PROBE_INTERVAL)
            self._add_problem(attempt)
            self.changed = True
        self._postpone_probe(attempt)
        return _kept_alive(attempt) if self.is_open and not attempt.claim.sent_once else attempt

    def _add_problem(self, attempt: Attempt) -> None:
        """Keep what the last probe met beside the reason for opening: it may differ by now."""
        opened, separator, problem = (self.reason or "").partition(LAST_PROBLEM)
        known = problem if separator else opened
        if attempt.problem is not None and attempt.problem != known:
            self.reason = f"{opened}{LAST_PROBLEM}{attempt.problem}"

    def _postpone_probe(self, attempt: Attempt) -> None:
        """Delay the next probe for as long as the partner asked, unless it locked us out.

        Then a person replaces the secret, and what waits goes out within a minute of that.
        """
        if self.probe_at is None or is_locked_out(attempt):
            return
        retry_at = attempt.claim.claimed_at + attempt.took + attempt.retry_after
        if attempt.retry_after and retry_at > self.probe_at:
            self.probe_at, self.changed = retry_at, True

    def _is_probe(self, attempt: Attempt) -> bool:
        """Return whether the attempt was claimed while the circuit was open."""
        if self.opened_at is None or not self.is_open:
            return False
        return attempt.claim.claimed_at > self.opened_at


def is_locked_out(attempt: Attempt) -> bool:
    """Return whether the partner rejects our credentials, whatever was sent.

    A wallet that reports the outcome of the call in its body has let us in, whatever the status.
    A create or reserve may be answered so because of the player: its discard will show. No token
    to show is as good as a wrong one, whatever should be sent; one that was renewed says nothing.
    """
    if attempt.token_trouble is not None:
        return attempt.token_trouble is TokenTrouble.MISSING
    if isinstance(attempt.verdict, Delivered) or is_refusal(attempt) or attempt.wallet_reported:
        return False
    return attempt.http_status in _LOCKED_OUT and attempt.claim.action not in SENT_ONCE


def _lock_out(attempt: Attempt) -> str:
    """Return the reason to open the circuit."""
    if attempt.token_trouble is TokenTrouble.MISSING:
        return attempt.problem or NO_DETAILS
    return f"answered {attempt.http_status}"


def is_refusal(attempt: Attempt) -> bool:
    """Return whether the partner refused a notice permanently, which would kill it."""
    verdict = attempt.verdict
    return isinstance(verdict, Dead) and not verdict.out_of_time and not attempt.claim.sent_once


def is_about_one_ticket(attempt: Attempt) -> bool:
    """Return whether the failure says nothing about the partner's health.

    So it is where the partner refused one notice, or did not accept a create (2xx but 200): it
    answers as it should. Any other failure (no response, 5xx) is about the partner.
    """
    if attempt.refused or is_refusal(attempt):
        return True
    status = attempt.http_status
    return attempt.claim.sent_once and status is not None and status in _SUCCESS


def _kept_alive(attempt: Attempt) -> Attempt:
    match attempt.verdict:
        case Dead(perhaps_delivered=True):
            return replace(attempt, verdict=Unanswered(PROBE_INTERVAL))
        case Dead():
            return replace(attempt, verdict=RetryLater(PROBE_INTERVAL))
        case _:
            return attempt


# --- Storing --------------------------------------------------------------------------------------
# Circuits are locked after the notices (rule 19); claims lock them first, but wait for no lock.

_COLUMNS: Final = "operator, refused, opened_at, reason, closed_at, probe_at, probe_youngest"
READ_CIRCUITS = text(f"SELECT {_COLUMNS} FROM circuit WHERE operator = ANY(:operators)")  # noqa: S608 - a constant list of columns
LOCK_CIRCUITS = text(f"""
    SELECT {_COLUMNS} FROM circuit WHERE operator = ANY(:operators)
     ORDER BY operator FOR NO KEY UPDATE""")  # noqa: S608 - a constant list of columns
CREATE_CIRCUITS = text("""
    INSERT INTO circuit (operator)
    SELECT o.id FROM operator o
     WHERE o.id = ANY(:operators) AND NOT EXISTS (SELECT FROM circuit c WHERE c.operator = o.id)
     ORDER BY o.id
        ON CONFLICT (operator) DO NOTHING""")
STORE_CIRCUITS = text("""
    UPDATE circuit c
       SET refused = r.refused, opened_at = r.opened_at, reason = r.reason,
           closed_at = r.closed_at, probe_at = r.probe_at, probe_youngest = r.probe_youngest
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
               operator int, refused int, opened_at timestamptz, reason text,
               closed_at timestamptz, probe_at timestamptz, probe_youngest bool)
     WHERE c.operator = r.operator""")


def create_circuits(connection: Connection, operators: Collection[int]) -> None:
    """Insert a circuit for each of *operators* that has none yet."""
    connection.execute(CREATE_CIRCUITS, {"operators": sorted(operators)})


def load_circuits(
    connection: Connection, attempts: Sequence[Attempt], *, to_open: Collection[int]
) -> dict[int, CircuitState]:
    """Return the circuits of the attempts' operators; lock those that the attempts may change.

    A success at a healthy partner, which nearly all are, changes none: so the attempts at healthy
    partners share no lock, and no deliverer waits for another.
    """
    operators = {attempt.claim.operator for attempt in attempts}
    circuits = _select(connection, READ_CIRCUITS, operators)
    changing = set(to_open) | {
        attempt.claim.operator
        for attempt in attempts
        if is_refusal(attempt) or is_locked_out(attempt)
    }
    changing |= {circuit.operator for circuit in circuits.values() if not circuit.is_healthy}
    if changing:
        if changing - circuits.keys():
            create_circuits(connection, changing)
        circuits |= _select(connection, LOCK_CIRCUITS, changing)
    return {operator: circuits.get(operator) or CircuitState(operator) for operator in operators}


def store_circuits(connection: Connection, circuits: Iterable[CircuitState]) -> None:
    """Store the circuits that changed."""
    rows = [asdict(circuit) for circuit in circuits if circuit.changed]
    if rows:
        connection.execute(STORE_CIRCUITS, {"rows": to_json(rows).decode()})


def _select(
    connection: Connection, statement: TextClause, operators: Collection[int]
) -> dict[int, CircuitState]:
    rows = connection.execute(statement, {"operators": sorted(operators)}).mappings()
    return {row["operator"]: CircuitState(**row) for row in rows}
