"""Another time of day for some processes: a small library, built here and preloaded.

libfaketime would do, too, but it also takes over timers and sleeps: under it PostgreSQL's lock
timeouts never end. `shifted_clock.c` adds a constant to the time of day and leaves all else alone.
"""

import os
import shutil
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).with_suffix(".c")
SECONDS: Final = "CLOCK_SHIFT_SECONDS"
OPTIONS: Final = ("-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")
BUILDING_SECONDS_MAX: Final = 60.0
A_WHILE: Final = timedelta(days=40)
LATE_SECONDS_MAX: Final = 30.0  # for a child to start in, on a busy machine


def build(folder: Path) -> Path | None:
    """Build the library in *folder*; None: this machine has no C compiler, or no such library."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return None
    library = folder / "shifted_clock.so"
    command = [compiler, *OPTIONS, "-o", str(library), str(SOURCE), "-ldl", "-lpthread"]
    subprocess.run(command, check=True, timeout=BUILDING_SECONDS_MAX)
    library.chmod(0o755)  # servers run as other users
    assert _shifts(library), f"{library} is preloaded and the time of day is not another"
    return library


def environment(library: Path, by: timedelta) -> dict[str, str]:
    """Return what shifts a child's time of day from that of this process."""
    seconds = int(os.environ.get(SECONDS, "0")) + int(by.total_seconds())
    return {"LD_PRELOAD": str(library), SECONDS: str(seconds)}


def _shifts(library: Path) -> bool:
    process = subprocess.run(
        [sys.executable, "-c", "import time; print(time.time())"],
        env={**os.environ, **environment(library, A_WHILE)},
        capture_output=True,
        check=True,
        timeout=LATE_SECONDS_MAX,
    )
    off = float(process.stdout) - time.time() - A_WHILE.total_seconds()
    return abs(off) < LATE_SECONDS_MAX
