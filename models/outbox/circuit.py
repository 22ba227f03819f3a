"""When a partner's circuit opens and closes, decided from what came of attempts (design.md 5.4).

"Dead needs proof": that a notice is refused for good is believed while the partner takes others.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic_core import to_json
from sqlalchemy import Connection, Row, text

from models.outbox.causes import LAST_PROBLEM
from models.outbox.values import Attempt, Dead, Delivered, RetryLater, Unanswered
from models.vocabulary import SENT_ONCE

REFUSALS_MAX: Final = 10  # in a row: this one proves that something else is wrong
PROBE_INTERVAL: Final = timedelta(seconds=15)
_LOCKED_OUT: Final = frozenset({401, 403})
_SUCCESS: Final = range(200, 300)


@dataclass(slots=True)
class CircuitState:
    """A partner's circuit, as recording changes it. *changed*: it must be stored."""

    operator: int
    refused: int = 0  # notices refused for good since the last success
    opened_at: datetime | None = None
    reason: str | None = None  # why it was opened last, and what its last probe met
    closed_at: datetime | None = None
    probe_at: datetime | None = None  # when the next probe may be claimed
    probe_youngest: bool = False
    changed: bool = False

    @property
    def is_open(self) -> bool:
        """Nothing but probes is sent, and no attempt is used up."""
        return self.opened_at is not None and self.closed_at is None

    @property
    def is_healthy(self) -> bool:
        """A success changes nothing."""
        return not self.is_open and not self.refused

    def open(self, reason: str, *, now: datetime) -> None:
        """From now on only probes go out; the first one after the interval."""
        if not self.is_open:
            self.opened_at, self.reason, self.closed_at = now, reason, None
            self.probe_at, self.probe_youngest = now + PROBE_INTERVAL, False
            self.refused, self.changed = 0, True

    def on_success(self, attempt: Attempt, *, now: datetime) -> None:
        """The partner took something: it is well, and whatever waits for it is due.

        What was sent before the circuit opened proves nothing about the time since.
        """
        if self.is_open and not self._is_probe(attempt):
            return
        if not self.is_healthy:
            self.changed = True
        if self.is_open:
            self.closed_at, self.probe_at = now, None
        self.refused = 0

    def on_failure(self, attempt: Attempt, *, now: datetime) -> Attempt:
        """Give the attempt as it counts: nothing is dead by the word of a partner that is unwell.

        A create or reserve that is refused is answered: it says nothing about the partner. For how
        long the partner wants to be left alone holds for the next probe too.
        """
        refusal = is_refusal(attempt)
        if is_locked_out(attempt):
            self.open(f"answered {attempt.http_status}", now=now)
        elif refusal and not self.is_open:
            self.refused += 1
            self.changed = True
            if self.refused >= REFUSALS_MAX:
                last = attempt.problem or "no word"
                self.open(f"refused {REFUSALS_MAX} notices in a row{LAST_PROBLEM}{last}", now=now)
        if self._is_probe(attempt):
            # One that is refused for good may be refused for ever: then the other end is tried.
            self.probe_youngest = refusal and not self.probe_youngest
            self.probe_at = max(now, attempt.claim.claimed_at + PROBE_INTERVAL)
            self._explain(attempt)
            self.changed = True
        self._leave_alone(attempt)
        return _spared(attempt) if self.is_open and not _is_sent_once(attempt) else attempt

    def _explain(self, attempt: Attempt) -> None:
        """Keep what the last probe met beside why it was opened: it may be another trouble now."""
        opened, separator, last = (self.reason or "").partition(LAST_PROBLEM)
        if attempt.problem is not None and attempt.problem != (last if separator else opened):
            self.reason = f"{opened}{LAST_PROBLEM}{attempt.problem}"

    def _leave_alone(self, attempt: Attempt) -> None:
        """Put the next probe off for as long as the partner asked; not where it locked us out.

        Then a person exchanges the secret, and what waits goes out within a minute of that.
        """
        if self.probe_at is None or is_locked_out(attempt):
            return
        asked = attempt.claim.claimed_at + attempt.took + attempt.asked
        if attempt.asked and asked > self.probe_at:
            self.probe_at, self.changed = asked, True

    def _is_probe(self, attempt: Attempt) -> bool:
        """Whatever was claimed while the circuit is open is one."""
        if self.opened_at is None or not self.is_open:
            return False
        return attempt.claim.claimed_at > self.opened_at


def is_locked_out(attempt: Attempt) -> bool:
    """The partner does not let us in: a secret is wrong, whatever was sent.

    A wallet that says in its own words what came of the call has let us in, whatever the status.
    To a create or reserve it may be said because of the player: the discard that follows proves it.
    """
    if isinstance(attempt.verdict, Delivered) or is_refusal(attempt) or _is_sent_once(attempt):
        return False
    return attempt.http_status in _LOCKED_OUT


def is_refusal(attempt: Attempt) -> bool:
    """The partner refused a notice for good, which would kill it."""
    verdict = attempt.verdict
    return isinstance(verdict, Dead) and not verdict.out_of_time and not _is_sent_once(attempt)


def is_about_one_ticket(attempt: Attempt) -> bool:
    """Say whether the partner refused one notice, or put a create off (2xx but 200).

    Either way it answers as it should. What failed otherwise (no answer, 5xx) is about the partner.
    """
    if attempt.refused or is_refusal(attempt):
        return True
    status = attempt.http_status
    return _is_sent_once(attempt) and status is not None and status in _SUCCESS


def _spared(attempt: Attempt) -> Attempt:
    match attempt.verdict:
        case Dead(perhaps_delivered=True):
            return replace(attempt, verdict=Unanswered(PROBE_INTERVAL))
        case Dead():
            return replace(attempt, verdict=RetryLater(PROBE_INTERVAL))
        case _:
            return attempt


def _is_sent_once(attempt: Attempt) -> bool:
    return attempt.claim.action in SENT_ONCE


_COLUMNS = "operator, refused, opened_at, reason, closed_at, probe_at, probe_youngest"
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
    """Give each of *operators* a circuit, if it has none yet."""
    connection.execute(CREATE_CIRCUITS, {"operators": sorted(operators)})


def load_circuits(
    connection: Connection, attempts: Sequence[Attempt], *, given_up: Collection[int]
) -> dict[int, CircuitState]:
    """The circuits that *attempts* concern; locked are those they may change.

    A success at a partner that is well, which nearly all are, changes none: so partners in good
    health share nothing, and no deliverer waits for another.
    """
    operators = {one.claim.operator for one in attempts}
    found = _read(connection, operators)
    moving = set(given_up) | {
        one.claim.operator for one in attempts if is_refusal(one) or is_locked_out(one)
    }
    moving |= {circuit.operator for circuit in found.values() if not circuit.is_healthy}
    if moving:
        if moving - found.keys():
            create_circuits(connection, moving)
        rows = connection.execute(LOCK_CIRCUITS, {"operators": sorted(moving)})
        found |= {row.operator: CircuitState(*row) for row in rows}
    return {one: found.get(one) or CircuitState(one) for one in operators}


def store_circuits(connection: Connection, circuits: Iterable[CircuitState]) -> None:
    """Store those that changed."""
    rows = [
        {
            "operator": one.operator,
            "refused": one.refused,
            "opened_at": one.opened_at,
            "reason": one.reason,
            "closed_at": one.closed_at,
            "probe_at": one.probe_at,
            "probe_youngest": one.probe_youngest,
        }
        for one in circuits
        if one.changed
    ]
    if rows:
        connection.execute(STORE_CIRCUITS, {"rows": to_json(rows).decode()})


def _read(connection: Connection, operators: Collection[int]) -> dict[int, CircuitState]:
    rows: Iterable[Row[Any]] = connection.execute(READ_CIRCUITS, {"operators": sorted(operators)})
    return {row.operator: CircuitState(*row) for row in rows}
