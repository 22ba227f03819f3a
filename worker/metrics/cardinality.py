"""Labels that the outside has a say in stay few: the first so many, and one for all the others."""

from typing import Final

OTHERS: Final = "(others)"
OPERATORS_MAX: Final = 1000


class LabelLimit:
    """Lets the first *most* different values through; what comes later is OTHERS."""

    def __init__(self, most: int = OPERATORS_MAX) -> None:
        self._most = most
        self._known: set[str] = set()

    def __call__(self, value: str) -> str:
        """Give *value*, or OTHERS."""
        if value in self._known:
            return value
        if len(self._known) >= self._most:
            return OTHERS
        self._known.add(value)
        return value
