"""How long an event takes from XADD to its partner, at a steady pace, against a bare chain."""

import json
import statistics
import time
from datetime import timedelta

from models.events.stream_contract import STREAM
from tests.load import bare_chain
from tests.load.environment import BenchEnvironment, Database
from tests.load.results import Samples
from tests.load.sink import Sink, open_sink
from tests.support.wait import eventually, pause

COMPARED = (100, 500)  # events a second
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
    """Publish at each pace, to the bare chain and to Slipway in turn, at the same sink.

    Slipway is one intake, one deliverer, a sweep and beat.
    """
    with (
        open_sink(keep=True) as sink,
        environment.database("latency", sink=sink.url) as database,
        database.workers("intake", "deliver", "sweep", "beat"),
        bare_chain.bare_chain(
            redis_url=environment.servers.redis_url, database_url=database.url, sink_url=sink.url
        ),
    ):
        database.empty()
        streams = {"bare chain": bare_chain.STREAM, "latency": STREAM}
        for name, stream in streams.items():
            waits(database, sink, stream=stream, events=WARM, rate=WARM, name=f"W-{name}")
        for number in range(rounds):
            for rate in rates:
                for name, stream in streams.items():
                    latencies = waits(
                        database,
                        sink,
                        stream=stream,
                        events=rate * seconds,
                        rate=rate,
                        name=f"{name}-{number}-{rate}",
                    )
                    p99 = latencies[len(latencies) * 99 // 100]
                    samples.add(f"{name} at {rate} events/s, p50, ms", statistics.median(latencies))
                    samples.add(f"{name} at {rate} events/s, p99, ms", p99)
                if rate in COMPARED:
                    _compare(samples, rate)


def _compare(samples: Samples, rate: int) -> None:
    for part in ("p50", "p99"):
        bare = samples.last(f"bare chain at {rate} events/s, {part}, ms")
        ours = samples.last(f"latency at {rate} events/s, {part}, ms")
        samples.ratio(f"latency_{part}_{rate}", bare / ours)


def waits(
    database: Database, sink: Sink, *, stream: str, events: int, rate: int, name: str
) -> list[float]:
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
            redis.xadd(stream, {"event": _win(ticket)})
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
