"""How many file descriptors the processes hold: what is opened and never closed grows."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.faults.process_set import Member

LOOK_EVERY_SECONDS: Final = 1.0
# A connection leaked for each attempt to connect passes both within a minute: see README.md.
GROWN_MAX: Final = 24  # of a role's processes, from the first quiet look to the last
PEAK_MAX: Final = 400  # of one process at any time: pools, and calls with old and new connections


@dataclass(slots=True)
class Descriptors:
    """The most that one process of each role held: at the beginning, meanwhile, and at the end."""

    first: dict[str, int] = field(default_factory=dict)
    peak: dict[str, int] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    _looked_at: float = 0.0

    @property
    def flat(self) -> bool:
        """No process grew, and none ever held more than its work can need."""
        return (
            bool(self.first)
            and all(most <= self.first.get(role, 0) + GROWN_MAX for role, most in self.last.items())
            and max(self.peak.values(), default=0) <= PEAK_MAX
        )

    def begin(self, members: Iterable[Member]) -> None:
        """Count for the first time, when all is well."""
        self.first = self._look(members)

    def pass_by(self, members: Iterable[Member]) -> None:
        """Count, if the last count was a while ago."""
        if time.monotonic() - self._looked_at >= LOOK_EVERY_SECONDS:
            self._looked_at = time.monotonic()
            self._look(members)

    def end(self, members: Iterable[Member]) -> None:
        """Count for the last time, when all is well again."""
        self.last = self._look(members)

    def in_words(self) -> str:
        """What the report says: of each role, at the beginning, at the most, and at the end."""
        return ", ".join(
            f"{role} {self.first.get(role, 0)}/{most}/{self.last.get(role, 0)}"
            for role, most in sorted(self.peak.items())
        )

    def _look(self, members: Iterable[Member]) -> dict[str, int]:
        seen: dict[str, int] = {}
        for member in members:
            held = _held(member.process.pid)
            seen[member.role] = max(held, seen.get(member.role, 0))
            self.peak[member.role] = max(held, self.peak.get(member.role, 0))
        return seen


def _held(pid: int) -> int:
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # it has ended meanwhile
        return 0
