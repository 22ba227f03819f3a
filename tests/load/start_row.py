"""How long a worker takes until it is ready, and `slipway --help` until it has answered."""

import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

from tests.load.environment import BenchEnvironment
from tests.load.results import Samples
from tests.support.procfile_processes import Running
from tests.support.wait import eventually

WORKERS = ("intake", "deliver", "sweep")
READY_MAX = 2.0  # seconds
HELP_MAX = 0.25
STARTING_MAX = timedelta(minutes=2)


def measure(environment: BenchEnvironment, samples: Samples, *, rounds: int) -> None:
    """Start each worker alone, one after the other; the ratio is that of the slowest."""
    with environment.database("start") as database:
        for number in range(rounds):
            took = [start(environment, database.url, name, number=number) for name in WORKERS]
            for name, (seconds, processor) in zip(WORKERS, took, strict=True):
                samples.add(f"start of {name}, s", seconds)
                samples.add(f"start of {name}, processor, s", processor)
            samples.ratio("start_worker", READY_MAX / max(seconds for seconds, _ in took))
            samples.add("slipway --help, s", help_page())
            samples.ratio("start_help", HELP_MAX / samples.last("slipway --help, s"))


def start(
    environment: BenchEnvironment, url: str, name: str, *, number: int
) -> tuple[float, float]:
    """Seconds until the worker is ready, and of those the processor's."""
    folder = environment.folder / f"start-{name}-{number}"
    folder.mkdir()
    env = environment.environment(url) | {"TMPDIR": str(folder)}
    began = time.monotonic()
    process = Running(name, env=env, folder=folder)

    def ready() -> bool:
        process.must_live()
        return any(folder.glob("slipway-*/*.ready"))

    try:
        eventually(ready, within=STARTING_MAX)
        took = time.monotonic() - began, process.processor_seconds()
        process.tell_to_end()
        process.code()
    finally:
        process.kill()
    return took


def help_page() -> float:
    """Seconds of `slipway --help`, the interpreter's start included."""
    program = Path(sys.executable).parent / "slipway"
    began = time.monotonic()
    subprocess.run([program, "--help"], check=True, capture_output=True)
    return time.monotonic() - began
