"""The benchmark: every row of the table, in rounds that take turns, on servers of its own.

    python -m tests.load.bench [--quick] [--only intake,sweep]

Results go to tests/load/results.json and tests/load/RESULTS.md. What each row measures, and what
was tried to make it faster, is in tests/load/README.md.
"""

import argparse
import sys
import time

from tests.load.claim_row import measure as measure_claim
from tests.load.delivery_row import measure as measure_delivery
from tests.load.house import House, open_house
from tests.load.intake_rows import measure as measure_intake
from tests.load.latency_row import measure as measure_latency
from tests.load.memory_row import measure as measure_memory
from tests.load.peer_rows import measure as measure_peer
from tests.load.results import Samples, say
from tests.load.sweep_rows import measure as measure_sweep

ROUNDS = 3


def main() -> int:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="less of everything, in 5 minutes")
    parser.add_argument("--only", help="parts, separated by commas; nothing is kept then")
    given = parser.parse_args()
    only = given.only.split(",") if given.only else None
    samples = Samples()
    began = time.monotonic()
    with open_house() as house:
        for name, part in PARTS.items():
            if only is None or name in only:
                say(f"-- {name} ({time.monotonic() - began:.0f} s)")
                part(house, samples, quick=given.quick)
                if only is None:  # at once: a run that is cut off keeps what it has
                    samples.keep(quick=given.quick)
    say(f"-- took {time.monotonic() - began:.0f} s")
    return 0


def intake(house: House, samples: Samples, *, quick: bool) -> None:
    measure_intake(house, samples, rounds=ROUNDS, events=10_000 if quick else 40_000)


def peer(house: House, samples: Samples, *, quick: bool) -> None:
    measure_peer(
        house,
        samples,
        rounds=1 if quick else ROUNDS,
        events=10_000 if quick else 40_000,
        tasks=400 if quick else 3_000,
    )


def delivery(house: House, samples: Samples, *, quick: bool) -> None:
    measure_delivery(house, samples, rounds=ROUNDS, notices=8_000 if quick else 40_000)


def sweep(house: House, samples: Samples, *, quick: bool) -> None:
    measure_sweep(
        house,
        samples,
        rounds=ROUNDS,
        due=10_000 if quick else 40_000,
        pending=(100_000, 1_000_000) if quick else (1_000_000, 10_000_000),
    )


def claim(house: House, samples: Samples, *, quick: bool) -> None:
    measure_claim(house, samples, rounds=ROUNDS, held=100_000 if quick else 1_000_000)


def latency(house: House, samples: Samples, *, quick: bool) -> None:
    measure_latency(
        house,
        samples,
        rounds=ROUNDS,
        seconds=3 if quick else 10,
        rates=(500,) if quick else (100, 500, 1_000),
    )


def memory(house: House, samples: Samples, *, quick: bool) -> None:
    if not quick:
        measure_memory(house, samples, pending=10_000_000)


PARTS = {
    "intake": intake,
    "peer": peer,
    "delivery": delivery,
    "sweep": sweep,
    "claim": claim,
    "latency": latency,
    "memory": memory,
}

if __name__ == "__main__":
    sys.exit(main())
