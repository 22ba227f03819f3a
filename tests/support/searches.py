"""How many examples a property gets: some, the same in each run, or all of them in a search."""

from typing import Final

from hypothesis import settings

_SHARE: Final = 3  # of a search's examples, a run that repeats itself takes one in so many


def examples(searched: int) -> int:
    """Return *searched* for `--hypothesis-profile=search`, which draws others in each run.

    A run that draws the same ones as the last learns nothing from the later ones of them: it takes
    a share.
    """
    assert settings.default is not None, "conftest.py loads a profile"
    return -(-searched // _SHARE) if settings.default.derandomize else searched
