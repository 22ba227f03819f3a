"""A draw settles a million lottery tickets at once; a day later the same million closes at once.

The tickets were bought before: copies of one that a Bet opened. The settlements come from one
feed, put on the stream by Redis itself. Both waves meet the processes of the Procfile, an intake
and a deliverer for each core. Their ends are read from what the database noted.
"""

import json
import os
import signal
from datetime import datetime, timedelta

from redis import Redis
from sqlalchemy import text

from models.events.event import Entry
from models.events.stream_contract import STREAM
from models.platform.clock import DatabaseClock
from tests.load.copies import DIGITS, copy, live_one
from tests.load.environment import OPERATOR, BenchEnvironment, Database, operator_code
from tests.load.life_row import OPERATORS, WARM, WORKERS
from tests.load.memory_row import used_memory, weigh
from tests.load.results import Samples
from tests.load.sink import Sink, open_sink
from tests.load.wave import entry_of, fill, present, worded
from tests.support.lottery import bet, settlement
from tests.support.wait import eventually

AT_ONCE = 10_000
LASTING_MAX = timedelta(minutes=10)
LOTTERY = {"type": "LOTTERY_V2", "operator": OPERATOR}
PLACE = "TICKET"  # where the ticket's id goes in a message
# Every tenth ticket wins. Ids are text: they have more digits than a number of Lua's.
_FEED = """
local codes = cjson.decode(ARGV[3])
for number = ARGV[1], ARGV[2] do
  local message = number % 10 == 0 and ARGV[4] or ARGV[5]
  redis.call('XADD', KEYS[1], '*', 'type', 'LOTTERY_V2',
    'operator', codes[number % #codes + 1],
    'event', (string.gsub(message, 'TICKET', ARGV[6] .. string.format('%07d', number))))
end
"""
UNFINISHED = text(
    "SELECT 1 FROM notice WHERE operator = ANY(:all) AND head AND ended IS NULL LIMIT 1"
)
APPLIED = text("SELECT max(decided_at) FROM ticket_event")
DELIVERED = text("SELECT max(ended_at), count(*) FROM notice WHERE ended = 'delivered'")
A_DAY_LATER = text("UPDATE ticket SET close_due_at = close_due_at - interval '24 hours'")
CLOSED = text("SELECT max(closed_at), count(*) FROM ticket WHERE status = 'closed'")


def measure(environment: BenchEnvironment, samples: Samples, *, tickets: int) -> None:
    """Hold the draw, and close its tickets, once."""
    with (
        open_sink() as sink,
        environment.database("draw", sink=sink.url, operators=OPERATORS) as database,
    ):
        buy(database, tickets)
        with database.workers(*WORKERS) as pids:
            with environment.redis() as redis:
                fill(redis, WARM, name="W", operators=OPERATORS)
            eventually(lambda: sink.counts().requests == WARM, within=LASTING_MAX)
            _draw(database, sink, samples, tickets)
            _close(database, sink, samples, tickets, sweep=pids[WORKERS.index("sweep")])


def _draw(database: Database, sink: Sink, samples: Samples, tickets: int) -> None:
    environment = database.environment
    empty = used_memory(environment)
    began = _now(database)
    with environment.redis() as redis:
        feed(redis, tickets)
        samples.add(f"draw of {tickets:,}, feed on the stream, s", _since(database, began))
        eventually(lambda: int(redis.xlen(STREAM)) == 0, within=LASTING_MAX)
    until_told(database, sink, WARM + tickets)
    with database.engine.begin() as connection:
        applied = connection.execute(APPLIED).scalar_one()
        delivered, count = connection.execute(DELIVERED).one()
    assert count == WARM + tickets, f"each ticket's partner was told once, not {count} in all"
    _say(samples, f"draw of {tickets:,}, applied", tickets, applied - began)
    _say(samples, f"draw of {tickets:,}, all notices delivered", tickets, delivered - began)
    held = (used_memory(environment) - empty) / tickets
    samples.add(f"Redis, bytes per pending ticket after the draw of {tickets:,}", held)
    for what, size in weigh(database).items():
        name = f"PostgreSQL, bytes per pending ticket after the draw of {tickets:,}, {what}"
        samples.add(name, size / tickets)


def _close(database: Database, sink: Sink, samples: Samples, tickets: int, *, sweep: int) -> None:
    """Let the 24 hours pass: by data, and the sweep stands still until all of them are over."""
    os.kill(sweep, signal.SIGSTOP)
    try:
        make_due(database)
        began = _now(database)
    finally:
        os.kill(sweep, signal.SIGCONT)
    until_told(database, sink, 2 * (WARM + tickets))
    with database.engine.begin() as connection:
        closed, count = connection.execute(CLOSED).one()
        delivered, sent = connection.execute(DELIVERED).one()
    assert count == WARM + tickets, f"every ticket is closed, not {count}"
    assert sent == 2 * (WARM + tickets), f"and its partner was told once, not {sent} in all"
    _say(samples, f"close wave of {tickets:,}, all closed", tickets, closed - began)
    _say(samples, f"close wave of {tickets:,}, all notices delivered", tickets, delivered - began)


def make_due(database: Database) -> None:
    """Let the 24 hours pass, by data."""
    with database.engine.begin() as connection:
        connection.execute(A_DAY_LATER)
    database.tidy("VACUUM ANALYZE ticket")
    database.tidy("CHECKPOINT")


def feed(redis: Redis, tickets: int) -> None:
    """Publish a settlement of each ticket; they go round the operators as the tickets do."""
    put = redis.register_script(_FEED)
    codes = json.dumps([operator_code(number) for number in range(OPERATORS)])
    drawn = worded(present())
    messages = [
        settlement(won=won, ticket_id=PLACE, timestamp=drawn, draw_date=drawn)
        for won in (True, False)
    ]
    for first in range(1, tickets + 1, AT_ONCE):
        last = min(first + AT_ONCE - 1, tickets)
        put([STREAM], [first, last, codes, *messages, str(DIGITS)[:-7]])


def buy(database: Database, tickets: int) -> None:
    """Put bought tickets there, each with the Bet that opened it."""
    copy(database, live_one(database, _bet(), settled=False), tickets, operators=OPERATORS)


def _bet() -> Entry:
    bought = worded(present() - timedelta(hours=1))
    message = bet(ticket_id=str(DIGITS), timestamp=bought, draw_date=worded(present()))
    return entry_of({**LOTTERY, "event": message.decode()})


def until_told(database: Database, sink: Sink, requests: int) -> None:
    """Wait until the sink has read so many requests, and the database has none to send."""
    eventually(lambda: sink.counts().requests >= requests, within=LASTING_MAX)

    def over() -> bool:
        with database.engine.begin() as connection:
            row = {"all": list(range(1, OPERATORS + 1))}
            return connection.execute(UNFINISHED, row).first() is None

    eventually(over, within=LASTING_MAX)


def _say(samples: Samples, what: str, tickets: int, took: timedelta) -> None:
    samples.add(f"{what}, s", took.total_seconds())
    samples.add(f"{what}, tickets/s", tickets / took.total_seconds())


def _now(database: Database) -> datetime:
    with database.engine.begin() as connection:
        return DatabaseClock().now(connection)


def _since(database: Database, began: datetime) -> float:
    return (_now(database) - began).total_seconds()
