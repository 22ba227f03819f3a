"""Wrong clocks for some processes, by libfaketime where this machine has it; no root is needed.

Only the time of day is wrong, as after a host's bad start; what measures a while goes on as usual.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

WRONG: Final = {
    "intake1": timedelta(hours=1),
    "deliver1": timedelta(hours=-1),
    "sweep1": timedelta(hours=1),
    "beat0": timedelta(hours=-1),  # both behind all sweeps: those must not find their hints stale
    "beat1": timedelta(hours=-1),
}
# The library for programs with threads, where Debian and its like put it, then Fedora and its like.
PLACES: Final = (
    "lib/*/faketime/libfaketimeMT.so.1",
    "lib*/faketime/libfaketimeMT.so.1",
)
BELOW: Final = Path("/usr")
SHARED: Final = Path("/dev/shm")  # noqa: S108 - the library's place, not ours
WAITS: Final = """
import queue, select, threading, time
began = time.monotonic()
time.sleep(0.02)
threading.Event().wait(0.02)
lock = threading.Lock()
lock.acquire()
lock.acquire(timeout=0.02)
try: queue.Queue().get(timeout=0.02)
except queue.Empty: pass
select.epoll().poll(0.02)
assert 0.09 < time.monotonic() - began
"""
WAITS_SECONDS_MAX: Final = 10.0
STARTS_WITH: Final = Path(__file__).parent / "wrong_clock"


def faketime() -> Path | None:
    """The library; None: not on this machine, or Python waits wrongly under it."""
    found = (library for place in PLACES for library in sorted(BELOW.glob(place)))
    return next((library for library in found if _waits_rightly(library)), None)


def _waits_rightly(library: Path) -> bool:
    """Try all that a worker waits with; versions of the library differ in what they mistake."""
    tried = subprocess.Popen(
        [sys.executable, "-c", WAITS],
        env={**os.environ, **clock_of("intake1", library)},
        stderr=subprocess.DEVNULL,
    )
    try:
        return tried.wait(WAITS_SECONDS_MAX) == 0
    except subprocess.TimeoutExpired:
        tried.kill()
        tried.wait()
        return False
    finally:
        clear_up(tried.pid)


def clock_of(name: str, library: Path | None) -> Mapping[str, str]:
    """What the environment of the process called *name* needs for its clock to be wrong."""
    if library is None or name not in WRONG:
        return {}
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"{WRONG[name].total_seconds():+.0f}",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
        "PYTHONPATH": str(STARTS_WITH),
    }


def clear_up(pid: int) -> None:
    """Remove what the library leaves behind when its process is killed."""
    for left in ("faketime_shm", "sem.faketime_sem"):
        (SHARED / f"{left}_{pid}").unlink(missing_ok=True)


def in_words(library: Path | None) -> str:
    """What the report says."""
    if library is None:
        return "all right: no libfaketime here that Python can live with"
    return ", ".join(f"{name} {wrong.total_seconds() / 3600:+g} h" for name, wrong in WRONG.items())
