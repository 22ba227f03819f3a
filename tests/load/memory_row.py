"""The memory of each process with nothing pending and with ten million, after the same work."""

from datetime import timedelta
from pathlib import Path

from sqlalchemy import text

from tests.load.house import Database, House
from tests.load.results import Samples
from tests.load.sink import open_sink
from tests.load.sweep_rows import fill as fill_pending
from tests.load.wave import fill
from tests.support.wait import eventually

PROCESSES = ("intake", "deliver", "sweep", "beat")
EVENTS = 10_000
LASTING_MAX = timedelta(minutes=5)
DELIVERED = text("SELECT count(*) FROM notice WHERE ended = 'delivered'")
MEBIBYTE = 1024.0


def measure(house: House, samples: Samples, *, pending: int) -> None:
    """Run the workers on an empty database, then on a full one."""
    with open_sink() as sink:
        with house.database("empty", sink=sink.url) as database:
            nothing = _largest(database, samples, "0 pending")
        with house.database("full", sink=sink.url) as database:
            fill_pending(database, pending)
            with database.engine.begin() as connection:
                size = connection.execute(text("SELECT pg_total_relation_size('ticket')"))
                samples.add("bytes in PostgreSQL per pending ticket", size.scalar_one() / pending)
            full = _largest(database, samples, f"{pending:,} pending")
    samples.ratio("memory", nothing / full)


def _largest(database: Database, samples: Samples, when: str) -> float:
    """The most that any process holds after its work, in MiB."""

    def delivered() -> bool:
        with database.engine.begin() as connection:
            return bool(connection.execute(DELIVERED).scalar_one() == EVENTS)

    with database.workers(*PROCESSES) as pids, database.house.redis() as redis:
        fill(redis, EVENTS)
        eventually(delivered, within=LASTING_MAX)
        held = {name: _resident(pid) for name, pid in zip(PROCESSES, pids, strict=True)}
    for name, size in held.items():
        samples.add(f"memory of {name}, {when}, MiB", size)
    return max(held.values())


def _resident(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in status if line.startswith("VmRSS:"))
    return int(line.split()[1]) / MEBIBYTE
