"""Names of users, which are compared without case."""

import unicodedata
from typing import Final

NAME_CHARACTERS_MAX: Final = 64


def is_name(name: str) -> bool:
    """Return whether *name* may name a user: 1 to 64 printable characters, no space around it."""
    return 1 <= len(name) <= NAME_CHARACTERS_MAX and name.isprintable() and name == name.strip()


def name_key(name: str) -> str:
    """Return what stands for *name* in comparisons: `Anna` and `ANNA` are one user."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
