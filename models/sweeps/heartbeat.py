"""When the sweep last did its round: kept by the sweep, asked by metrics, `doctor` and alerts."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

KEEP: Final = text("""
    INSERT INTO sweep_round (id, ended_at, horizon) VALUES (1, :ended_at, :horizon)
        ON CONFLICT (id) DO UPDATE SET ended_at = excluded.ended_at, horizon = excluded.horizon
     WHERE sweep_round.ended_at < excluded.ended_at
""")
LAST: Final = text("SELECT ended_at, horizon FROM sweep_round")


@dataclass(frozen=True, slots=True)
class Round:
    """A round of the sweep, by the database's clock.

    *horizon*: the moment it judged the clock against (rule 17); None: nothing could be closed.
    """

    ended_at: datetime
    horizon: datetime | None


def store_round(connection: Connection, done: Round) -> None:
    """Keep *done* in the caller's transaction, unless a later round is there already."""
    connection.execute(KEEP, {"ended_at": done.ended_at, "horizon": done.horizon})


def last_round(connection: Connection) -> Round | None:
    """Give the last round of any sweep; None before the first one."""
    row = connection.execute(LAST).one_or_none()
    return None if row is None else Round(row.ended_at, row.horizon)
