"""Wrong clocks for some processes, where this machine can build what makes them so; without root.

Only the time of day is wrong, as after a host's bad start; what measures a while goes on as usual.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from tests.support import shifted_clock

WRONG: Final = {
    "intake1": timedelta(hours=1),
    "deliver1": timedelta(hours=-1),
    "sweep1": timedelta(hours=1),
    "beat0": timedelta(hours=-1),  # both behind all sweeps: those must not find their wakeups stale
    "beat1": timedelta(hours=-1),
}


def clock_of(name: str, library: Path | None) -> Mapping[str, str]:
    """What the environment of the process called *name* needs for its clock to be wrong."""
    if library is None or name not in WRONG:
        return {}
    return shifted_clock.environment(library, WRONG[name])


def in_words(library: Path | None) -> str:
    """What the report says."""
    if library is None:
        return "all right: no C compiler here to build what makes them wrong"
    return ", ".join(f"{name} {wrong.total_seconds() / 3600:+g} h" for name, wrong in WRONG.items())
