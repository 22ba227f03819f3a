"""Refuses an event with a field whose name is almost a known one.

An unknown field is stored and does no harm. One that is called `eventId`, or `net_payout` at the
wrong level, was meant to count: money would depend on a field that is not read. So a name that
equals a known one but for case and separators is refused, and the right one is named.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Final, Self

from models.events.refusal import Refusal
from models.platform.input_problems import PROBLEMS_SHOWN_MAX, quote
from models.vocabulary import Reason

# Letters that are another case of an ASCII letter only to Unicode, or only to Turkish software.
_CASES: Final = str.maketrans({"\u0130": "i", "\u0131": "i", "\u017f": "s", "\u212a": "k"})
_CLASSES: Final = {"i": "iI\u0130\u0131", "s": "sS\u017f", "k": "kK\u212a"}
_SEPARATORS: Final = r"[^\p{L}\p{N}]*"
_NAMES_MAX: Final = 20  # in one pattern


def fold_name(name: str) -> str:
    """Return the letters and digits of *name*, in lower case."""
    return "".join(filter(str.isalnum, name.translate(_CASES).lower()))


def is_typo(given: str, known: str) -> bool:
    """Return whether *given* is *known* but for case, separators and at most one letter.

    One letter may be added, missing or replaced, or two neighbours swapped.
    """
    typed, meant = fold_name(given), fold_name(known)
    pairs = zip(typed, meant, strict=False)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    rest, right = typed[same:], meant[same:]
    swapped = rest[:2] == right[1::-1] and rest[2:] == right[2:]
    return swapped or rest[1:] == right[1:] or rest[1:] == right or rest == right[1:]


def _any_case(letter: str) -> str:
    return f"[{_CLASSES.get(letter, letter + letter.upper())}]"


@dataclass(frozen=True)
class KnownNames:
    """The names known at one level of the JSON, and what a near miss of them means there."""

    known: frozenset[str]
    meant: Mapping[str, str]  # by the folded name: the right one, or a text where it belongs

    @classmethod
    def of(
        cls,
        names: Iterable[str],
        *,
        elsewhere: Mapping[str, str] | None = None,
        lenient: Iterable[str] = (),
    ) -> Self:
        """*names* belong here; the keys of *elsewhere* belong where its values say.

        No money depends on *lenient* ones, which belong here too: near misses of them are unknown.
        """
        known = frozenset(names)
        meant = {fold_name(name): where for name, where in (elsewhere or {}).items()}
        return cls(known.union(lenient), meant | {fold_name(name): name for name in known})

    def near_misses(self, given: Mapping[str, object]) -> dict[str, str]:
        """Return the names in *given* that nearly match a known one, each with what was meant."""
        if given.keys() <= self.known:  # most events have no unknown field
            return {}
        return {
            name: meant
            for name in map(str, given)
            if name not in self.known and (meant := self.meant.get(fold_name(name)))
        }

    @cached_property
    def patterns(self) -> list[str]:
        """Regular expressions for the names that `near_misses` recognises.

        They are several because some engines limit the size of one.
        """
        words = [_SEPARATORS.join(map(_any_case, word)) for word in sorted(self.meant)]
        groups = (words[at : at + _NAMES_MAX] for at in range(0, len(words), _NAMES_MAX))
        return [f"^{_SEPARATORS}(?:{'|'.join(group)}){_SEPARATORS}$" for group in groups]


def refuse_near_misses(near_misses: Mapping[str, str], *, within: str = "") -> None:
    """Raise Refusal if there are any; *within* says where they are."""
    if not near_misses:
        return
    problems = [
        f"{within}{quote(name)[1:-1]}: is not known here; did you mean {meant}?"
        for name, meant in list(near_misses.items())[:PROBLEMS_SHOWN_MAX]
    ]
    more = len(near_misses) - len(problems)
    raise Refusal(
        Reason.INVALID_EVENT, "; ".join(problems) + (f"; and {more} more" if more > 0 else "")
    )
