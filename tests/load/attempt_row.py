"""What claiming and recording a plain success costs: processor time, WAL and bytes of a notice.

    .venv/bin/python -m tests.load.attempt_row --before CHECKOUT [--notices 16000] [--rounds 5]

CHECKOUT is one of the code to compare with, as `git worktree add CHECKOUT COMMIT` makes it. Both
take turns, each in a process of its own that claims batches and records that all was taken; no
call is made. Time of the processor and not of the clock: it says something on a busy machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from models.database.engine import open_engine
from models.outbox.claim import LeaseTerms, claim
from models.outbox.record import RecordPolicy, record
from models.outbox.values import Attempt, Delivered
from models.platform.clock import DatabaseClock

BATCH = 256
OPERATORS = 8
MINUTE = timedelta(minutes=1)
TOOK = timedelta(milliseconds=5)
POLICY = RecordPolicy(partner_grace=timedelta(seconds=10), parking_window=15 * MINUTE)
PID = text("SELECT pg_backend_pid()")
WAL = text("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')")
SIZE = text("""
    SELECT sum(pg_total_relation_size(CAST(name AS regclass)))
      FROM unnest(ARRAY['notice', 'delivery_attempt']) AS name""")


class Meter:
    """Adds up what each part of the work costs."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._backend = f"/proc/{connection.execute(PID).scalar_one()}/schedstat"
        self.costs: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Any:  # noqa: ANN401 - a generator, which contextmanager wraps
        """Count the block, with its commit, as this part."""
        python, backend, wal = time.thread_time(), self._seconds(), self._wal()
        yield
        self._connection.commit()
        self.costs[f"{name}, Python, µs"] += (time.thread_time() - python) * 1e6
        self.costs[f"{name}, PostgreSQL, µs"] += (self._seconds() - backend) * 1e6
        self.costs[f"{name}, WAL, bytes"] += self._wal() - wal

    def _seconds(self) -> float:
        return int(Path(self._backend).read_text(encoding="ascii").split()[0]) / 1e9

    def _wal(self) -> int:
        return int(self._connection.execute(WAL).scalar_one())


def work(url: str) -> None:
    """Claim and record all that is due, with the code that is first in the path."""
    engine = open_engine(url, application_name="load", pool_size=1)
    with engine.connect() as connection:
        meter, notices = Meter(connection), 0
        before = connection.execute(SIZE).scalar_one()
        while True:
            now = DatabaseClock().now(connection)
            with meter.part("claim"):
                claims = claim(
                    connection,
                    now=now,
                    lease=LeaseTerms(timeout=MINUTE, margin=MINUTE),
                    room=dict.fromkeys(range(1, OPERATORS + 1), BATCH // OPERATORS),
                    create_age_max=MINUTE,
                )
            if not claims:
                break
            attempts = [
                Attempt(
                    claim,
                    Delivered(),
                    TOOK,
                    http_status=200,
                    answer="{}",
                    sent_at=now,
                    remote_address="127.0.0.1",
                )
                for claim in claims
            ]
            with meter.part("record"):
                record(connection, attempts, policy=POLICY, now=now)
            notices += len(claims)
        grown = connection.execute(SIZE).scalar_one() - before
    costs = {name: cost / notices for name, cost in meter.costs.items()}
    sys.stdout.write(json.dumps({**costs, "size, bytes": float(grown) / notices}))


def main() -> None:
    """Measure, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--work", help="a database; what --before and this program start")
    parser.add_argument("--before", type=Path, help="a checkout to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--notices", type=int, default=16_000)
    given = parser.parse_args()
    if given.work is not None:
        work(given.work)
    else:
        in_turns(given.before, rounds=given.rounds, notices=given.notices)


def in_turns(before: Path | None, *, rounds: int, notices: int) -> None:
    """Take turns between the checkouts; print medians and ranges."""
    # Here, because the process that works has another checkout's code, which may lack these.
    from tests.load.delivery_row import OWE  # noqa: PLC0415 - see above
    from tests.load.environment import open_environment  # noqa: PLC0415 - see above
    from tests.support.celery_process import ROOT  # noqa: PLC0415 - see above

    ways = {**({} if before is None else {"before": before}), "now": ROOT}
    costs: defaultdict[str, list[Mapping[str, float]]] = defaultdict(list)
    with (
        open_environment() as environment,
        environment.database("attempts", operators=OPERATORS) as database,
    ):
        for turn in range(rounds):
            for name, root in list(ways.items())[:: 1 if turn % 2 else -1]:
                database.empty()
                with database.engine.begin() as connection:
                    now = DatabaseClock().now(connection)
                    connection.execute(OWE, {"each": notices // OPERATORS, "due_at": now})
                database.tidy("VACUUM ANALYZE ticket, notice")
                database.tidy("CHECKPOINT")
                done = subprocess.run(
                    [sys.executable, str(Path(__file__)), "--work", database.url],
                    env={**os.environ, "PYTHONPATH": str(root)},
                    stdout=subprocess.PIPE,
                    check=True,
                )
                costs[name].append(json.loads(done.stdout))
                sys.stderr.write(f"round {turn + 1}, {name}: {costs[name][-1]}\n")
    for what in costs["now"][0]:
        shown = "; ".join(
            f"{name} {statistics.median(values):,.1f} ({min(values):,.1f} to {max(values):,.1f})"
            for name, rows in costs.items()
            for values in [[row[what] for row in rows]]
        )
        sys.stdout.write(f"{what}: {shown}\n")


if __name__ == "__main__":
    main()
