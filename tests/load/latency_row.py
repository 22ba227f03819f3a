"""How long an event takes from XADD to its partner, at a steady pace."""

import json
import statistics
import time
from datetime import timedelta

from models.events.stream_contract import STREAM
from tests.load.environment import BenchEnvironment, Database
from tests.load.results import Samples
from tests.load.sink import Sink, open_sink
from tests.support.wait import eventually, pause

PROMISED_MS = 60.0
ROW = 500  # events a second
WARM = 500
LASTING_MAX = timedelta(minutes=2)


def measure(
    environment: BenchEnvironment,
    samples: Samples,
    *,
    rounds: int,
    seconds: int,
    rates: tuple[int, ...],
) -> None:
    """Publish at each pace in turn, with one intake, one deliverer, a sweep and beat running."""
    with (
        open_sink(keep=True) as sink,
        environment.database("latency", sink=sink.url) as database,
        database.workers("intake", "deliver", "sweep", "beat"),
    ):
        database.empty()
        waits(database, sink, events=WARM, rate=ROW, name="W")
        for number in range(rounds):
            for rate in rates:
                latencies = waits(
                    database, sink, events=rate * seconds, rate=rate, name=f"R{number}-{rate}"
                )
                p99 = latencies[len(latencies) * 99 // 100]
                samples.add(f"latency at {rate} events/s, p50, ms", statistics.median(latencies))
                samples.add(f"latency at {rate} events/s, p99, ms", p99)
                if rate == ROW:
                    samples.ratio("latency", PROMISED_MS / p99)


def waits(database: Database, sink: Sink, *, events: int, rate: int, name: str) -> list[float]:
    """Milliseconds from XADD to the partner, sorted; what the publisher sends late counts late."""
    added: dict[str, float] = {}
    with database.environment.redis() as redis:
        began = time.time()
        for number in range(events):
            at = began + number / rate
            if (early := at - time.time()) > 0:
                pause(early)
            ticket = f"{name}-{number}"
            added[ticket] = time.time()
            redis.xadd(STREAM, {"event": _win(ticket)})
    came: dict[str, float] = {}

    def all_came() -> bool:
        for at, body in sink.receipts():
            came.setdefault(json.loads(body)["data"]["ticket_id"], at)
        return added.keys() <= came.keys()

    eventually(all_came, within=LASTING_MAX)
    return sorted((came[ticket] - at) * 1000 for ticket, at in added.items())


def _win(ticket: str) -> str:
    return json.dumps(
        {
            "event_id": f"win-{ticket}",
            "action": "ticket_win",
            "data": {"operator": "acme", "ticket_id": ticket},
        }
    )
