"""What a ticket's whole life takes of PostgreSQL: bytes once it is closed, and WAL until then.

Tickets are opened with all fields, won, told and closed, in waves, by the workers of `life_row`. A
wave is settled in another order than it was opened in, as the end of a match settles what was sold
over hours. After each wave the tables are vacuumed: what one leaves free, the next one fills.
"""

import json
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from redis import Redis
from sqlalchemy import text

from models.events.stream_contract import STREAM
from models.outgoing.examples import FACTS
from tests.load.environment import BenchEnvironment, Database, operator_code
from tests.load.life_row import CLOSE_DELAY, LIVED, OPERATORS, WARM, WORKERS, until_closed
from tests.load.memory_row import TABLES, weigh
from tests.load.results import Samples
from tests.load.sink import Sink, open_sink
from tests.load.wave import AT_ONCE, present, worded
from tests.support.wait import eventually

STORED_MAX = 2_400.0  # bytes of a closed ticket
WRITTEN_MAX = 5_000.0  # bytes of WAL of a whole life
LASTING_MAX = timedelta(minutes=10)
STRIDE = 7_919  # a prime: each place of a wave has its turn once
# What Redis fills in stands between @. Partners take turns; a player has many tickets.
_OPENED = {
    "event_id": "open-@ticket@",
    "action": "ticket_open",
    "occurred_at": "@at@",
    "data": {
        "operator": "@operator@",
        "ticket_id": "@ticket@",
        **{name: value for name, value in FACTS.items() if name != "reason"},
        "ticket_code": "@code@",
        "player_id": "@player@",
        "rtag": "rtag_value",
    },
}
_WON = {
    "event_id": "win-@ticket@",
    "action": "ticket_win",
    "occurred_at": "@at@",
    "data": {"operator": "@operator@", "ticket_id": "@ticket@"},
}
_FILL = """
local codes = cjson.decode(ARGV[6])
local stride, lives, wave = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
for number = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  local place = (number * stride) % lives
  local values = {
    at = ARGV[7],
    operator = codes[place % #codes + 1],
    ticket = string.format('668ef666333180ba%02x%06x', wave, place),
    code = string.format('%02X%06X', wave, place),
    player = string.format('player-%08d', place % 5000),
  }
  redis.call('XADD', KEYS[1], '*', 'event', (string.gsub(ARGV[8], '@(%a+)@', values)))
end
"""
SOMETHING = text("SELECT pg_current_xact_id()")  # its commit waits until all before is written
WRITTEN = text("SELECT pg_current_wal_flush_lsn()")
HOT = text("""
    SELECT relname, n_tup_upd AS changed, n_tup_hot_upd AS hot FROM pg_stat_user_tables
     WHERE relname = ANY(:tables)""")
PLACES = text("""
    SELECT (SELECT setting FROM pg_config WHERE name = 'BINDIR') AS programs,
           current_setting('data_directory') AS data""")


class Wal(NamedTuple):
    """Bytes of WAL between two places of it, and how many of them are images of whole pages."""

    written: int
    images: int


def measure(environment: BenchEnvironment, samples: Samples, *, waves: int, lives: int) -> None:
    """Let *waves* of so many *lives* pass; sizes are of all tickets there are after the last."""
    with (
        open_sink() as sink,
        environment.database(
            "storage", sink=sink.url, operators=OPERATORS, close_delay=CLOSE_DELAY
        ) as database,
        database.workers(*WORKERS),
    ):
        live(database, sink, wave=0, lives=WARM, before=0)
        database.empty()
        for wave in range(1, waves + 1):
            began = wal_place(database)
            live(database, sink, wave=wave, lives=lives, before=(wave - 1) * lives)
            lived = wal_place(database)
            database.tidy(f"VACUUM {', '.join(TABLES)}")
            life, vacuum = wal(database, began, lived), wal(database, lived, wal_place(database))
            samples.add("WAL per whole life, all, bytes", life.written / lives)
            samples.add("WAL per whole life, images of pages, bytes", life.images / lives)
            samples.add("WAL per whole life, of its vacuum, bytes", vacuum.written / lives)
            samples.ratio("wal", WRITTEN_MAX / samples.last("WAL per whole life, all, bytes"))
        _keep(database, samples, tickets=waves * lives)
        for table, share in hot(database).items():
            samples.add(f"updates of {table} that are HOT, %", 100 * share)


def _keep(database: Database, samples: Samples, *, tickets: int) -> None:
    for what, size in weigh(database).items():
        samples.add(f"PostgreSQL, bytes per closed ticket, {what}", size / tickets)
    samples.ratio("storage", STORED_MAX / samples.last("PostgreSQL, bytes per closed ticket, all"))


def live(database: Database, sink: Sink, *, wave: int, lives: int, before: int) -> None:
    """Let a wave live, until all of it is closed and told. *before*: how many have lived there."""
    receipts = sink.counts().closed
    with database.environment.redis() as redis:
        fill(redis, _OPENED, wave=wave, lives=lives)
        eventually(lambda: int(redis.xlen(STREAM)) == 0, within=LASTING_MAX)
        fill(redis, _WON, wave=wave, lives=lives, stride=STRIDE)
    until_closed(database, sink, receipts + lives, LIVED, before + lives)


def fill(redis: Redis, event: object, *, wave: int, lives: int, stride: int = 1) -> None:
    """Publish *event* of each ticket of a wave, every *stride*-th place of it next."""
    assert lives % STRIDE, "each ticket has its turn once"
    put = redis.register_script(_FILL)
    codes = json.dumps([operator_code(number) for number in range(OPERATORS)])
    template = json.dumps(event, separators=(",", ":"))
    for first in range(1, lives + 1, AT_ONCE):
        last = min(first + AT_ONCE - 1, lives)
        put([STREAM], [first, last, stride, lives, wave, codes, worded(present()), template])


def wal_place(database: Database) -> str:
    """How far WAL has been written."""
    with database.engine.begin() as connection:
        connection.execute(SOMETHING)
    with database.engine.begin() as connection:
        return str(connection.execute(WRITTEN).scalar_one())


def wal(database: Database, start: str, end: str) -> Wal:
    """Read what was written between two places, as PostgreSQL's own program counts it."""
    if start == end:  # it refuses that; a vacuum finds nothing to do if autovacuum was there
        return Wal(0, 0)
    with database.engine.begin() as connection:
        places = connection.execute(PLACES).one()
    wanted = [f"--path={Path(places.data, 'pg_wal')}", f"--start={start}", f"--end={end}"]
    command = [str(Path(places.programs, "pg_waldump")), "--stats", *wanted]
    counted = subprocess.run(command, capture_output=True, text=True, check=True)
    (total,) = (line for line in counted.stdout.splitlines() if line.startswith("Total"))
    _, _, images, written = (int(word) for word in total.split() if word.isdecimal())
    return Wal(written, images)


def hot(database: Database) -> dict[str, float]:
    """The share of each table's updates that touched no index."""
    with database.engine.begin() as connection:
        rows = connection.execute(HOT, {"tables": list(TABLES)}).all()
    return {row.relname: row.hot / row.changed for row in rows if row.changed}
