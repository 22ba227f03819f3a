"""What a removal costs the traffic beside it, and what bloat it leaves.

    python -m tests.load.removal_row [--old 60000] [--windows 10] [--seconds 3] [--rate 100]

Windows take turns, with all the workers running: beside the removal of closed tickets, by rounds of
another sweep, and without it. In each, first a wave goes through as fast as it can, then events
come at a steady pace. What is counted is the processor time of all processes of PostgreSQL, which
is worth something on a busy machine, too, and events a second and the way to the partner by the
clock, which is not. Another removal, as fast as it can, shows what it costs a backend that applies
events. Then all is removed and vacuumed, and the same stock put there again: what grows is bloat.
"""

import argparse
import multiprocessing
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from statistics import median

from redis import Redis
from sqlalchemy import Connection, text

from models.database.engine import open_engine
from models.events.event import Entry
from models.events.stream_contract import EVENT_FIELD, STREAM
from models.intake.apply import decode_entries
from models.intake.batch import apply_events
from models.platform.clock import DatabaseClock
from models.settings.settings import Settings
from models.sweeps.retention import Position
from tests.load.environment import LONG, OPERATOR, STARTING_MAX, Database, open_environment
from tests.load.latency_row import waits
from tests.load.pooler_cost import postgres_of, spent
from tests.load.removal_batches import BATCH, Backend, by_tenths, remove_all, remove_batch
from tests.load.results import say
from tests.load.retention_row import is_delivered, put_stock, stock
from tests.load.sink import Sink, open_sink
from tests.load.wave import fill
from tests.support.wait import eventually
from worker.sweep.round import Sweep
from worker.sweep.watermark import StreamWatermark

WORKERS = ("intake", "deliver", "sweep", "beat")
VACUUMS = 2  # an index's empty pages are free for use after the second
NEXT = text("SELECT pg_current_xact_id()")
KEPT, REMOVED = "kept", "removed"
NEVER = {"retention": "3650d"}  # of the workers; the removal in windows is a sweep of its own
WINDOW = timedelta(minutes=15)
WARM = 1_000
TABLES = ("ticket", "ticket_event", "notice", "delivery_attempt")
SIZES = text("""
    SELECT name, pg_table_size(CAST(name AS regclass)) AS rows,
           pg_indexes_size(CAST(name AS regclass)) AS indexes
      FROM unnest(CAST(:tables AS text[])) AS name""")
WAL = text("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')")


@dataclass(frozen=True, slots=True)
class Window:
    """What one window gave."""

    events_a_second: float  # of the wave, until its notices are delivered
    wave_postgres: float  # microseconds of a processor for each event of it
    paced_postgres: float  # for each event at the steady pace
    p50: float  # milliseconds to the partner
    p99: float
    removed: float  # tickets a second


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--old", type=int, default=60_000, help="closed tickets in the tables")
    parser.add_argument("--windows", type=int, default=10, help="of each kind")
    parser.add_argument("--wave", type=int, default=3_000, help="events")
    parser.add_argument("--seconds", type=int, default=3, help="at the steady pace")
    parser.add_argument("--rate", type=int, default=100, help="events a second")
    parser.add_argument("--stocks", type=int, default=2, help="put there one after the other")
    given = parser.parse_args()
    with (
        open_environment() as environment,
        open_sink(keep=True) as sink,
        replace(environment, more=NEVER).database("removal", sink=sink.url) as database,
    ):
        stock(database, given.old)
        say(f"put there: {sizes(database)}")
        settings = environment.settings(database.url)
        windows = in_windows(database, sink, settings, given)
        print_windows(windows)
        applied = in_turns(database, events=given.wave, rounds=given.windows)
        kept, removed = (median(applied[kind]) * 1e6 for kind in (KEPT, REMOVED))
        say(
            f"an event, by its backend alone: {kept:.1f} us, beside a removal without pauses"
            f" {removed:.1f} us ({removed / kept:.3f})"
        )
        for number in range(1, given.stocks + 1):
            emptied(database)
            put_stock(database, given.old)
            say(f"stock {number + 1} put there: {sizes(database)}")
    return 0


def in_windows(
    database: Database, sink: Sink, settings: Settings, given: argparse.Namespace
) -> dict[str, list[Window]]:
    """Have events applied and delivered, in turns beside a removal and without it."""
    windows: defaultdict[str, list[Window]] = defaultdict(list)
    with database.workers(*WORKERS), removing(settings) as (going, gone):
        waits(database, sink, stream=STREAM, events=WARM, rate=WARM, name="W")
        for number in range(given.windows):
            for kind in (KEPT, REMOVED) if number % 2 else (REMOVED, KEPT):
                if kind == REMOVED:
                    going.set()
                window = one_window(database, sink, gone, given, name=f"{kind}{number}")
                going.clear()
                windows[kind].append(window)
                sys.stderr.write(f"{kind}: {window}\n")
    return windows


def one_window(
    database: Database,
    sink: Sink,
    gone: "Synchronized[int]",
    given: argparse.Namespace,
    *,
    name: str,
) -> Window:
    """A wave, then the steady pace."""
    server = postgres_of(database)
    before, began, removed = spent(server), time.perf_counter(), gone.value
    with database.environment.redis() as redis:
        fill(redis, given.wave, name=f"{name}-wave")
        eventually(lambda: redis.xlen(STREAM) == 0 and is_delivered(database), within=LONG)
    took, between = time.perf_counter() - began, spent(server)
    events = given.rate * given.seconds
    latencies = waits(
        database, sink, stream=STREAM, events=events, rate=given.rate, name=f"{name}-paced"
    )
    return Window(
        events_a_second=given.wave / took,
        wave_postgres=(between - before) / given.wave * 1e6,
        paced_postgres=(spent(server) - between) / events * 1e6,
        p50=median(latencies),
        p99=latencies[len(latencies) * 99 // 100],
        removed=(gone.value - removed) / (time.perf_counter() - began),
    )


@contextmanager
def removing(settings: Settings) -> Iterator[tuple[Event, "Synchronized[int]"]]:
    """Run rounds of a sweep in a process of its own, while the event is set; how many went."""
    apart = multiprocessing.get_context("spawn")
    ready, going, ending = apart.Event(), apart.Event(), apart.Event()
    gone = apart.Value("q", 0)
    process = apart.Process(target=rounds, args=(settings, ready, going, ending, gone))
    process.start()
    try:
        assert ready.wait(STARTING_MAX.total_seconds()), "it starts"
        yield going, gone
    finally:
        ending.set()
        process.join()


def rounds(
    settings: Settings, ready: Event, going: Event, ending: Event, gone: "Synchronized[int]"
) -> None:
    """Sweep as the worker does."""
    engine = open_engine(settings.database_url, application_name="load removal")
    sweep = Sweep(
        transaction=engine.begin,
        clock=DatabaseClock(),
        watermark_source=StreamWatermark(Redis.from_url(settings.redis_url)),
        settings=settings,
    )
    ready.set()
    while not ending.wait(settings.sweep_interval.total_seconds()):
        if going.is_set():
            gone.value += sweep.round().forgotten
    engine.dispose()


def print_windows(windows: dict[str, list[Window]]) -> None:
    """Medians with their ranges, as Markdown."""
    say(f"| {len(windows[KEPT])} windows of each | they stay | they are removed | ratio |")
    say("|---|---|---|---|")
    for field in fields(Window):
        values = [[getattr(each, field.name) for each in windows[kind]] for kind in (KEPT, REMOVED)]
        cells = [f"{median(some):,.1f} ({min(some):,.1f} to {max(some):,.1f})" for some in values]
        middle = [median(some) for some in values]
        ratio = f"{middle[1] / middle[0]:.3f}" if middle[0] else "-"
        say(f"| {field.name} | {' | '.join(cells)} | {ratio} |")


def in_turns(database: Database, *, events: int, rounds: int) -> dict[str, list[float]]:
    """Apply events with and without a removal beside it; seconds of the processor for each."""
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    position = Position()
    with database.engine.connect() as connection:
        backend = Backend(connection)
        apply_round(connection, events, name="warm")
        for number in range(rounds):
            for kind in (KEPT, REMOVED) if number % 2 else (REMOVED, KEPT):
                stop = threading.Event()
                beside = threading.Thread(target=remove_until, args=(database, stop, position))
                if kind == REMOVED:
                    beside.start()
                before = backend.seconds()
                apply_round(connection, events, name=f"{kind}{number}")
                seconds[kind].append((backend.seconds() - before) / events)
                stop.set()
                if kind == REMOVED:
                    beside.join()
    return seconds


def apply_round(connection: Connection, events: int, *, name: str) -> None:
    """Apply wins of new tickets, in batches."""
    for first in range(0, events, BATCH):
        now = DatabaseClock().now(connection)
        at = int(now.timestamp() * 1000)
        entries = [
            Entry(f"{at}-{number}", {EVENT_FIELD: win(f"{name}-{number}")}, read_at=now)
            for number in range(first, first + BATCH)
        ]
        apply_events(connection, decode_entries(entries).events, now=now, parking_window=WINDOW)
        connection.commit()


def win(ticket_id: str) -> bytes:
    """Write a win."""
    data = f'{{"operator":"{OPERATOR}","ticket_id":"{ticket_id}"}}'
    return f'{{"event_id":"win","action":"ticket_win","data":{data}}}'.encode()


def remove_until(database: Database, stop: threading.Event, position: Position) -> None:
    """Remove batches without a pause."""
    with database.engine.connect() as connection:
        while not stop.is_set() and remove_batch(connection, position):
            pass


def emptied(database: Database) -> None:
    """Remove what is left, vacuum, and say what that took and what is left of the files."""
    server = postgres_of(database)
    wal = written(database)
    batches = remove_all(database)
    wal = written(database) - wal
    removed, processor = (
        sum(each.removed for each in batches),
        sum(each.processor for each in batches),
    )
    clock = sum(each.clock for each in batches)
    say(
        f"{removed:,} removed without pauses in {clock:,.0f} s: of each"
        f" {processor / removed * 1e6:.1f} us of its backend, {wal / removed:,.0f} bytes of WAL;"
        f" a batch, by tenths: {' | '.join(by_tenths(batches))}"
    )
    before, began = spent(server), time.perf_counter()
    for _ in range(VACUUMS):
        database.tidy("VACUUM ANALYZE")
        with database.engine.begin() as connection:
            connection.execute(NEXT)
    say(
        f"vacuumed in {time.perf_counter() - began:,.0f} s, {spent(server) - before:,.1f} of a"
        f" processor: {sizes(database)}"
    )
    database.tidy("TRUNCATE tombstone")


def written(database: Database) -> int:
    """Bytes of WAL so far."""
    with database.engine.begin() as connection:
        return int(connection.execute(WAL).scalar_one())


def sizes(database: Database) -> str:
    """Megabytes of the tables and of their indexes."""
    with database.engine.begin() as connection:
        tables = connection.execute(SIZES, {"tables": list(TABLES)}).all()
    whole = sum(each.rows + each.indexes for each in tables)
    parts = (f"{each.name} {each.rows / 1e6:,.0f} + {each.indexes / 1e6:,.0f}" for each in tables)
    return f"{whole / 1e6:,.0f} MB ({', '.join(parts)})"


if __name__ == "__main__":
    sys.exit(main())
