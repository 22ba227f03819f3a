"""For processes under libfaketime: Python's own sleep would fail there, or never end.

It sleeps until a moment of the clock that libfaketime leaves alone, and libfaketime (0.9.10) takes
that moment for one of the clock it changes.
"""

import select
import time
from typing import SupportsIndex


def _sleep(seconds: float | SupportsIndex, /) -> None:
    select.select([], [], [], float(seconds))


time.sleep = _sleep  # noqa: TID251 - replaced, not called
