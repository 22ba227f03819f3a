"""What waiting tickets cost: memory of each process, bytes in PostgreSQL and in Redis.

Each process of the Procfile, after the same work on a database with none, few and many pending.
"""

from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text

from tests.load.environment import BenchEnvironment, Database
from tests.load.pending import with_pending
from tests.load.results import Samples
from tests.load.wave import fill
from tests.support.wait import eventually

PROCESSES = ("intake", "deliver", "sweep", "beat", "gateway", "flower")
# Flower is not ours, keeps what it saw of the tasks, and would hide the others by its size.
JUDGED = PROCESSES[:-1]
BROKER, BROKER_MAX = ("beat", "flower"), 70.0  # MiB
WORKERS, WORKER_MAX = ("intake", "deliver", "sweep", "gateway"), 100.0
NOTHING = "0 pending"
EVENTS = 10_000
LASTING_MAX = timedelta(minutes=3)
NEW = text("SELECT count(*) FROM notice WHERE id > :last AND ended = 'delivered'")
LAST = text("SELECT coalesce(max(id), 0) FROM notice")
SIZES = text("""
    SELECT relname, pg_table_size(oid) AS rows, pg_indexes_size(oid) AS indexes
      FROM pg_class WHERE oid = ANY (CAST(:tables AS regclass[])) ORDER BY oid""")
TABLES = ("ticket", "ticket_event", "notice", "delivery_attempt")
MEBIBYTE = 1024.0  # in kB


def measure(
    environment: BenchEnvironment,
    samples: Samples,
    *,
    pending: tuple[int, ...],
    compared: int | None,
) -> None:
    """Run the processes with nothing pending, then with each of *pending*.

    *compared*: the one whose largest process the ratio is about.
    """
    largest: dict[int, float] = {}
    held: dict[int, int] = {}
    for count in (0, *pending):
        database = with_pending(environment, samples, count)
        when = f"{count:,} pending"
        if count:
            for what, size in weigh(database).items():
                samples.add(f"PostgreSQL, bytes per pending ticket, {when}, {what}", size / count)
        largest[count], held[count] = _after_work(database, samples, when)
        if count:
            each = (held[count] - held[0]) / count
            samples.add(f"Redis, bytes per pending ticket, {when}", each)
    if compared is not None:
        samples.ratio("memory", largest[0] / largest[compared])


def measure_footprint(environment: BenchEnvironment, samples: Samples) -> None:
    """Run one of each process with nothing pending, and compare each with what it may hold."""
    _after_work(with_pending(environment, samples, 0), samples, NOTHING)
    share = {name: samples.last(f"share of {name}, {NOTHING}, MiB") for name in PROCESSES}
    of_broker, of_worker = (max(share[name] for name in names) for names in (BROKER, WORKERS))
    samples.ratio("footprint_of_broker", BROKER_MAX / of_broker)
    samples.ratio("footprint_of_worker", WORKER_MAX / of_worker)


def weigh(database: Database) -> dict[str, int]:
    """Bytes of each table and its indexes, and of all."""
    with database.engine.begin() as connection:
        tables = connection.execute(SIZES, {"tables": list(TABLES)}).all()
    sizes: dict[str, int] = {}
    for table in tables:
        sizes |= {table.relname: table.rows, f"indexes of {table.relname}": table.indexes}
    return {"all": sum(sizes.values()), **sizes}


def used_memory(environment: BenchEnvironment) -> int:
    """Bytes that Redis holds."""
    with environment.redis() as redis:
        return int(redis.info("memory")["used_memory"])


def _after_work(database: Database, samples: Samples, when: str) -> tuple[float, int]:
    """The most that any process of ours holds after its work, in MiB, and bytes in Redis."""
    with database.engine.begin() as connection:
        last = connection.execute(LAST).scalar_one()

    def delivered() -> bool:
        with database.engine.begin() as connection:
            return bool(connection.execute(NEW, {"last": last}).scalar_one() == EVENTS)

    environment = database.environment
    with database.workers(*PROCESSES) as pids, environment.redis() as redis:
        fill(redis, EVENTS, name=when.replace(" ", "-"))
        eventually(delivered, within=LASTING_MAX)
        for name, pid in zip(PROCESSES, pids, strict=True):
            samples.add(f"share of {name}, {when}, MiB", _share(pid))
        sizes = {name: _resident(pid) for name, pid in zip(PROCESSES, pids, strict=True)}
        postgres = _own_of_all(environment.servers.postgres.pid)
        in_redis = used_memory(environment)
    for name, size in sizes.items():
        samples.add(f"memory of {name}, {when}, MiB", size)
    samples.add(f"memory of PostgreSQL's processes together, {when}, MiB", postgres)
    samples.add(f"memory of Redis, {when}, MiB", in_redis / MEBIBYTE / MEBIBYTE)
    return max(sizes[name] for name in JUDGED), in_redis


def _resident(pid: int) -> float:
    return _line(Path(f"/proc/{pid}/status"), "VmRSS:") / MEBIBYTE


def _share(pid: int) -> float:
    """What a process takes of the machine: what several share is divided among them."""
    return _line(Path(f"/proc/{pid}/smaps_rollup"), "Pss:") / MEBIBYTE


def _own_of_all(parent: int) -> float:
    """What a process and its children hold together, what they share counted once; MiB."""
    held = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # a backend that has just ended
            mother = _line(folder / "status", "PPid:")
            if parent in (int(folder.name), mother):
                held += _line(folder / "smaps_rollup", "Pss:")
    return held / MEBIBYTE


def _line(page: Path, name: str) -> int:
    (line,) = (line for line in page.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1])
