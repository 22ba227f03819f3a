"""Databases with tickets that wait for their close: made once in a run, for all parts that ask."""

import json
import time
from datetime import datetime, timedelta

from tests.load.copies import DIGITS, copy, live_one
from tests.load.environment import OPERATOR, BenchEnvironment, Database
from tests.load.results import Samples
from tests.load.sink import open_sink
from tests.load.wave import entry_of, present, worded

IN_A_DAY = timedelta(days=1)
# One a second, in the order in which they were settled, give or take two minutes.
CLOSE_DUE_AT = """CAST(:first_due AS timestamptz)
    + (n + (CAST(n AS bigint) * 7919) % 120) * interval '1 second'"""


def with_pending(environment: BenchEnvironment, samples: Samples, count: int) -> Database:
    """Yield the run's database, in which *count* tickets wait, the first one until `first_due`."""
    if count not in environment.pending:
        sink = environment.stay.enter_context(open_sink())
        database = environment.stay.enter_context(
            environment.database(f"pending_{count}", sink=sink.url)
        )
        if count:
            before = time.perf_counter()
            settled = live_one(database, entry_of({"event": _win()}), settled=True)
            given = {"first_due": first_due(environment)}
            copy(database, settled, count, differing={"close_due_at": CLOSE_DUE_AT}, given=given)
            samples.add(f"making {count:,} pending tickets, s", time.perf_counter() - before)
        environment.pending[count] = database
    return environment.pending[count]


def first_due(environment: BenchEnvironment) -> datetime:
    """When the first of them is to be closed: not while this run lasts."""
    return environment.began + IN_A_DAY


def _win() -> str:
    return json.dumps(
        {
            "event_id": "event-of-the-first",
            "action": "ticket_win",
            "occurred_at": worded(present()),
            "data": {"operator": OPERATOR, "ticket_id": str(DIGITS)},
        }
    )
