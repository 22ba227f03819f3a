"""`worker.celery` with a hundredth of the pauses between tries: hours are seen in seconds.

Nothing else differs. How often each thread has tried in vain since its last success is a line of
the file `retries-PID` in the temporary folder.
"""

import os
import tempfile
import threading
from datetime import timedelta
from pathlib import Path
from typing import Final

from models.platform.backoff import Backoff
from worker.celery.__main__ import main

HURRY: Final = 100
CONSUMER: Final = "MainThread"  # where Celery's consumer runs

_next, _reset = Backoff.next, Backoff.reset
_tries: dict[str, int] = {}


def retries(folder: Path, pid: int) -> dict[str, int]:
    """How often each thread of a process has tried in vain."""
    file = folder / f"retries-{pid}"
    if not file.exists():
        return {}
    lines = (line.split("\t") for line in file.read_text(encoding="utf-8").splitlines())
    return {name: int(many) for name, many in lines}


def _hurried(self: Backoff) -> timedelta:
    pause = _next(self) / HURRY
    _note(self.failures)
    return pause


def _noted(self: Backoff) -> None:
    if self.failures:
        _note(0)
    _reset(self)


def _note(failures: int) -> None:
    _tries[threading.current_thread().name] = failures
    folder, pid = Path(tempfile.gettempdir()), os.getpid()
    fresh = folder / f"retries-{pid}.{threading.get_ident()}"
    fresh.write_text("".join(f"{name}\t{many}\n" for name, many in [*_tries.items()]))
    fresh.rename(folder / f"retries-{pid}")


if __name__ == "__main__":
    Backoff.next = _hurried  # type: ignore[method-assign]  # this one thing is different
    Backoff.reset = _noted  # type: ignore[method-assign]  # it only counts
    main(prog_name="python -m worker.celery")
