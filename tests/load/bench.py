"""The benchmark: every row of the table, in rounds that take turns, on servers of its own.

    python -m tests.load.bench [--quick] [--only intake,sweep [--keep]]

Results go to tests/load/results.json and tests/load/RESULTS.md. What each row measures, and what
was tried to make it faster, is in tests/load/README.md.
"""

import argparse
import signal
import sys
import time
import traceback

from tests.load import console_data
from tests.load.claim_row import measure as measure_claim
from tests.load.console_row import measure as measure_console
from tests.load.delivery_row import measure as measure_delivery
from tests.load.draw_cost import measure as measure_settlements
from tests.load.draw_rows import measure as measure_draw
from tests.load.environment import BenchEnvironment, open_environment
from tests.load.intake_rows import measure as measure_intake
from tests.load.latency_row import measure as measure_latency
from tests.load.memory_row import measure as measure_memory
from tests.load.memory_row import measure_footprint
from tests.load.peer_rows import measure as measure_peer
from tests.load.results import Samples, say, table
from tests.load.start_row import measure as measure_start
from tests.load.storage_row import measure as measure_storage
from tests.load.sweep_rows import measure as measure_sweep

ROUNDS = 3
PENDING = (1_000_000, 10_000_000)
QUICK_PENDING = (100_000, 1_000_000)
GIBIBYTE = 2**30
ROOM = 30 * GIBIBYTE  # on the disk; 10 million pending tickets and what is written of them
QUICK_ROOM = 6 * GIBIBYTE


def main() -> int:
    """Measure, print and keep; 1 when a part failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="less of everything, in 5 minutes")
    parser.add_argument("--only", help="parts, separated by commas; nothing is kept then")
    parser.add_argument("--keep", action="store_true", help="keep what these parts gave, too")
    given = parser.parse_args()
    only = given.only.split(",") if given.only else list(PARTS)
    if unknown := set(only) - set(PARTS):
        parser.error(f"no part is called {', '.join(unknown)}; there are {', '.join(PARTS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))  # servers and workers, too
    samples = Samples()
    began = time.monotonic()
    with open_environment(room=QUICK_ROOM if given.quick else ROOM) as environment:
        for name in only:
            say(f"-- {name} ({time.monotonic() - began:.0f} s)")
            run(name, environment, samples, quick=given.quick)
            if given.keep or not given.only:  # at once: a run that is cut off keeps what it has
                samples.keep(quick=given.quick, beside=bool(given.only))
    say("\n" + table(samples.summed_up(quick=given.quick)))
    say(f"-- took {time.monotonic() - began:.0f} s")
    for name, problem in samples.failed.items():
        say(f"-- {name} FAILED: {problem}")
    return 1 if samples.failed else 0


def run(name: str, environment: BenchEnvironment, samples: Samples, *, quick: bool) -> None:
    """Run a part, and note how long it took; one that fails leaves the others their turn."""
    began = time.monotonic()
    try:
        PARTS[name](environment, samples, quick=quick)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other parts are measured
        traceback.print_exc()
        samples.fail(name, error)
    samples.took(name, time.monotonic() - began)


def intake(environment: BenchEnvironment, samples: Samples, *, quick: bool) -> None:
    measure_intake(environment, samples, rounds=ROUNDS, events=10_000 if quick else 40_000)


def peer(environment: BenchEnvironment, samples: Samples, *, quick: bool) -> None:
    measure_peer(
        environment,
        samples,
        rounds=ROUNDS,
        events=20_000 if quick else 40_000,
        tasks=400 if quick else 3_000,
        peer_lives=400 if quick else 2_000,
    )


def delivery(environment: BenchEnvironment, samples: Samples, *, quick: bool) -> None:
    measure_delivery(environment, samples, rounds=ROUNDS, notices=8_000 if quick else 40_000)


def memory(environment: BenchEnvironment, samples: Samples, *, quick: bool) -> None:
    if quick:  # the ratio of the table is about ten million
        measure_memory(environment, samples, pending=QUICK_PENDING[1:], compared=None)
    else:
        measure_memory(environment, samples, pending=PENDING, compared=PENDING[-1])


def footprint(environment: BenchEnvironment, samples: Samples, *, quick: bool) -> None:
    measure_footprint(environment, samples)


def start(environment: BenchEnvironment, samples: Samples, *, quick: bool) -> None:
    measure_start(environment, samples, rounds=1 if quick else ROUNDS)


def sweep(environment: BenchEnvironment, samples: Samples, *, quick: bool) -> None:
    measure_sweep(
        environment,
        samples,
        rounds=ROUNDS,
        due=10_000 if quick else 40_000,
        pending=QUICK_PENDING if quick else PENDING,
    )


def claim(environment: BenchEnvironment, samples: Samples, *, quick: bool) -> None:
    measure_claim(environment, samples, rounds=ROUNDS, held=100_000 if quick else 1_000_000)


def latency(environment: BenchEnvironment, samples: Samples, *, quick: bool) -> None:
    measure_latency(
        environment,
        samples,
        rounds=ROUNDS,
        seconds=2 if quick else 10,
        rates=(100, 500, 1_000),
    )


def draw(environment: BenchEnvironment, samples: Samples, *, quick: bool) -> None:
    measure_settlements(environment, samples, rounds=ROUNDS, tickets=5_000 if quick else 20_000)
    measure_draw(environment, samples, tickets=20_000 if quick else 1_000_000)


def storage(environment: BenchEnvironment, samples: Samples, *, quick: bool) -> None:
    measure_storage(
        environment,
        samples,
        waves=ROUNDS if quick else 2 * ROUNDS,
        lives=2_000 if quick else 5_000,
    )


def console(environment: BenchEnvironment, samples: Samples, *, quick: bool) -> None:
    measure_console(
        environment,
        samples,
        extent=console_data.QUICK if quick else console_data.FULL,
        rounds=ROUNDS,
        requests=10 if quick else 20,
    )


PARTS = {
    "intake": intake,
    "peer": peer,
    "delivery": delivery,
    "latency": latency,
    "claim": claim,
    "console": console,
    "footprint": footprint,
    "start": start,
    "storage": storage,
    "memory": memory,
    "sweep": sweep,
    "draw": draw,
}

if __name__ == "__main__":
    sys.exit(main())
