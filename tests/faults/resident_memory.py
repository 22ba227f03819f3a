"""How much memory processes hold, measured once a second."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

LOOK_SECONDS = 1.0
MEBIBYTE = 1024  # in KiB


@dataclass(slots=True)
class Residents:
    """What each process held, in MiB, by the second since the first look."""

    seen: defaultdict[str, list[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def first(self, name: str) -> float:
        """What it held at the first look."""
        return self.seen[name][0][1]

    def last(self, name: str) -> float:
        """What it held at the last look."""
        return self.seen[name][-1][1]

    def most(self, name: str, *, since: float = 0.0, until: float = float("inf")) -> float:
        """The most it held between two moments, in seconds since the first look."""
        return max(
            (size for at, size in self.seen[name] if since <= at <= until),
            default=self.first(name),
        )


@contextmanager
def looked_at(processes: Mapping[str, int]) -> Iterator[Residents]:
    """Measure *processes*, by their pids, while the block runs; a server counts with children."""
    residents, over = Residents(), threading.Event()

    def look() -> None:
        began = time.monotonic()
        while True:
            for name, pid in processes.items():
                residents.seen[name].append((time.monotonic() - began, _held(pid)))
            if over.wait(LOOK_SECONDS):
                return

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield residents
    finally:
        over.set()
        thread.join()


def _held(pid: int) -> float:
    """What a process holds of its own, with its children: what they share is counted once."""
    return sum(map(_proportional, (pid, *_children(pid)))) / MEBIBYTE


def _children(pid: int) -> list[int]:
    with suppress(OSError):  # it has ended
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [int(child) for child in listed.split()]
    return []


def _proportional(pid: int) -> int:
    """In KiB; a page that several map is divided among them."""
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0
