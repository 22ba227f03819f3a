"""Names of fields that are almost known ones: such an event is refused (design.md 4).

A field nobody knows is kept and does no harm. One that is called `eventId`, or `net_payout` at the
wrong level, was meant to count: money would depend on a word that is not read. So a name that
equals a known one but for case and separators is refused, and the right one is named.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Final, Self

from models.events.messages import PROBLEMS_SHOWN_MAX, quote
from models.events.refusal import Refusal
from models.vocabulary import Reason

# Letters that are another case of an ASCII letter only to Unicode, or only to Turkish software.
_CASES: Final = str.maketrans({"\u0130": "i", "\u0131": "i", "\u017f": "s", "\u212a": "k"})
_CLASSES: Final = {"i": "iI\u0130\u0131", "s": "sS\u017f", "k": "kK\u212a"}
_SEPARATORS: Final = r"[^\p{L}\p{N}]*"


def fold_name(name: str) -> str:
    """*name* without what case and separators make of it: letters and digits, in lower case."""
    return "".join(filter(str.isalnum, name.translate(_CASES).lower()))


def is_typo(given: str, known: str) -> bool:
    """Whether *given* is *known* but for case, separators and at most one letter.

    One letter too many, missing, another one, or two that changed places.
    """
    one, other = fold_name(given), fold_name(known)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
    rest, right = one[same:], other[same:]
    swapped = rest[:2] == right[1::-1] and rest[2:] == right[2:]
    return swapped or rest[1:] == right[1:] or rest[1:] == right or rest == right[1:]


def _any_case(letter: str) -> str:
    return f"[{_CLASSES.get(letter, letter + letter.upper())}]"


@dataclass(frozen=True)
class KnownNames:
    """The names known at one level, and what a name that is nearly known means there."""

    known: frozenset[str]
    meant: Mapping[str, str]  # by the folded name: where the right one belongs, in words

    @classmethod
    def of(cls, names: Iterable[str], *, elsewhere: Mapping[str, str] | None = None) -> Self:
        """*names* belong here; those of *elsewhere* belong where its values say."""
        known = frozenset(names)
        meant = {fold_name(name): where for name, where in (elsewhere or {}).items()}
        return cls(known, meant | {fold_name(name): name for name in known})

    def near_misses(self, given: Mapping[str, object]) -> dict[str, str]:
        """The names in *given* that are nearly known, each with the one that was meant."""
        if given.keys() <= self.known:  # most events have no unknown field
            return {}
        return {
            name: meant
            for name in map(str, given)
            if name not in self.known and (meant := self.meant.get(fold_name(name)))
        }

    @cached_property
    def pattern(self) -> str:
        """A regular expression that takes the names of which `near_misses` knows what they mean."""
        words = "|".join(_SEPARATORS.join(map(_any_case, word)) for word in sorted(self.meant))
        return f"^{_SEPARATORS}(?:{words}){_SEPARATORS}$"


def refuse_near_misses(found: Mapping[str, str], *, within: str = "") -> None:
    """Raise Refusal if there are names that are nearly known; *within* says where they are."""
    if not found:
        return
    said = [
        f"{within}{quote(name)[1:-1]}: is not known here; did you mean {meant}?"
        for name, meant in list(found.items())[:PROBLEMS_SHOWN_MAX]
    ]
    more = len(found) - len(said)
    raise Refusal(
        Reason.INVALID_EVENT, "; ".join(said) + (f"; and {more} more" if more > 0 else "")
    )
