"""HTTP statuses as a person lists them: `200`, `2xx`, `2xx,409`."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Final, Self

STATUSES_MAX: Final = 20  # of a list
_CLASS: Final = re.compile(r"([2-5])xx")
_STATUS: Final = re.compile(r"[2-5][0-9]{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Statuses:
    """A set of HTTP statuses; *text* is how it was written."""

    text: str
    _statuses: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read statuses and classes, separated by commas. Raises ValueError, with an example.

        Interim statuses (1xx) end nothing, so they cannot be listed.
        """
        parts = text.split(",")
        if len(parts) > STATUSES_MAX:
            raise ValueError(f"at most {STATUSES_MAX} statuses can be listed; {_HOW}")
        statuses: set[int] = set()
        for part in map(str.strip, parts):
            if whole := _CLASS.fullmatch(part):
                first = int(whole[1]) * 100
                statuses.update(range(first, first + 100))
            elif _STATUS.fullmatch(part):
                statuses.add(int(part))
            else:
                raise ValueError(f"{part[:40]!r} is not an HTTP status; {_HOW}")
        return cls(text, frozenset(statuses))

    def __contains__(self, status: int) -> bool:
        return status in self._statuses


_HOW: Final = "write statuses or classes of them from 200 on, separated by commas: 2xx,409"


@cache
def read_statuses(text: str) -> Statuses:
    """Return what *text* lists, as it was checked when it was entered: the same one each time."""
    return Statuses.parse(text)


ANY_SUCCESS: Final = read_statuses("2xx")
ONLY_OK: Final = read_statuses("200")
