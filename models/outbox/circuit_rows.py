"""The rows behind a circuit: read without a lock, locked where something will change, stored.

Locked after the notices (rule 19); claims lock them first, but never wait for anybody.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from pydantic_core import to_json
from sqlalchemy import Connection, Row, text

from models.outbox.circuit import CircuitState, is_locked_out, is_refusal
from models.outbox.values import Attempt

_COLUMNS = "operator, refused, opened_at, reason, closed_at, probe_at, probe_youngest"
READ = text(f"SELECT {_COLUMNS} FROM circuit WHERE operator = ANY(:operators)")  # noqa: S608 - a constant list of columns
LOCK = text(f"""
    SELECT {_COLUMNS} FROM circuit WHERE operator = ANY(:operators)
     ORDER BY operator FOR NO KEY UPDATE""")  # noqa: S608 - a constant list of columns
MAKE = text("""
    INSERT INTO circuit (operator)
    SELECT o.id FROM operator o
     WHERE o.id = ANY(:operators) AND NOT EXISTS (SELECT FROM circuit c WHERE c.operator = o.id)
     ORDER BY o.id
        ON CONFLICT (operator) DO NOTHING""")
STORE = text("""
    UPDATE circuit c
       SET refused = r.refused, opened_at = r.opened_at, reason = r.reason,
           closed_at = r.closed_at, probe_at = r.probe_at, probe_youngest = r.probe_youngest
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
               operator int, refused int, opened_at timestamptz, reason text,
               closed_at timestamptz, probe_at timestamptz, probe_youngest bool)
     WHERE c.operator = r.operator""")


def make_circuits(connection: Connection, operators: Collection[int]) -> None:
    """Give each of *operators* a circuit, if it has none yet."""
    connection.execute(MAKE, {"operators": sorted(operators)})


def circuits_of(
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
    moving |= {circuit.operator for circuit in found.values() if not circuit.is_calm}
    if moving:
        if moving - found.keys():
            make_circuits(connection, moving)
        rows = connection.execute(LOCK, {"operators": sorted(moving)})
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
        connection.execute(STORE, {"rows": to_json(rows).decode()})


def _read(connection: Connection, operators: Collection[int]) -> dict[int, CircuitState]:
    rows: Iterable[Row[Any]] = connection.execute(READ, {"operators": sorted(operators)})
    return {row.operator: CircuitState(*row) for row in rows}
