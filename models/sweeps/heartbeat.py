"""The sweep's heartbeat: its last round, stored by the sweep, read by metrics and `doctor`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

STORE: Final = text("""
    INSERT INTO sweep_round (id, ended_at, horizon) VALUES (1, :ended_at, :watermark)
        ON CONFLICT (id) DO UPDATE SET ended_at = excluded.ended_at, horizon = excluded.horizon
     WHERE sweep_round.ended_at < excluded.ended_at
""")
LAST: Final = text("SELECT ended_at, horizon FROM sweep_round")


@dataclass(frozen=True, slots=True)
class Round:
    """A round of the sweep, by the database's clock.

    *watermark*: what was due before it was closed (rule 17); None: nothing could be closed.
    """

    ended_at: datetime
    watermark: datetime | None


def store_round(connection: Connection, done: Round) -> None:
    """Store *done* in the caller's transaction, unless a later round is stored already."""
    connection.execute(STORE, {"ended_at": done.ended_at, "watermark": done.watermark})


def last_round(connection: Connection) -> Round | None:
    """Return the last round of any sweep, or None before the first one."""
    row = connection.execute(LAST).one_or_none()
    return None if row is None else Round(ended_at=row.ended_at, watermark=row.horizon)
