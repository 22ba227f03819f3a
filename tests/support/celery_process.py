"""The workers as they run in production: `python -m worker.celery …` in a process of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from cryptography.fernet import Fernet

from tests.support.fork_server import Popen

ROOT = Path(__file__).parents[2]
ENDING_MAX = timedelta(seconds=60)


def environment(folder: Path, *, database_url: str, redis_url: str, **more: str) -> dict[str, str]:
    """Build the whole environment of a process: this one's without its own `SLIPWAY_*`.

    *folder* becomes its temporary folder; *more* are further settings, `sweep_interval="1s"`.
    """
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("SLIPWAY_")
    }
    settings = {
        "database_url": database_url,
        "redis_url": redis_url,
        "secret_key": Fernet.generate_key().decode(),
        **more,
    }
    return inherited | {
        "TMPDIR": str(folder),
        "PYTHONWARNINGS": "default",
        **{f"SLIPWAY_{name.upper()}": value for name, value in settings.items()},
    }


@contextmanager
def celery(
    *arguments: str,
    env: Mapping[str, str],
    log: Path,
    start: "type[subprocess.Popen[bytes]]" = Popen,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run `python -m worker.celery` with *arguments*; what it writes is appended to *log*.

    At the end it is killed if it is still there. *start*: `subprocess.Popen` for a test that looks
    at the start itself (see `tests.support.fork_server`).
    """
    command = [sys.executable, "-m", "worker.celery", *arguments]
    with log.open("ab") as output:
        process = start(command, cwd=ROOT, env=env, stdout=output, stderr=output)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(ENDING_MAX.total_seconds())


def end(process: "subprocess.Popen[bytes]") -> int:
    """Stop it as a supervisor would, and return its exit code."""
    process.send_signal(signal.SIGTERM)
    return process.wait(ENDING_MAX.total_seconds())


def must_live(process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Raise, with what it wrote last, if *process* has ended. For use inside a wait."""
    if process.poll() is not None:
        wrote = log.read_text(encoding="utf-8", errors="replace")[-3000:]
        raise RuntimeError(f"it ended with {process.returncode}:\n{wrote}")
