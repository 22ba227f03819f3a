"""Which entries of others to take over: one that kills processes must stand alone (H46)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

ALONE_FROM: Final = 3  # the delivery from which an entry is suspected of killing its readers


@dataclass(frozen=True, slots=True)
class Pending:
    """An entry that some consumer was handed and did not finish."""

    id: str
    idle: timedelta
    deliveries: int  # how often it was handed out so far


def to_take(pending: Sequence[Pending]) -> list[Pending]:
    """Choose what to claim at once: everything beyond suspicion, else the oldest suspect alone.

    Only what is chosen is claimed, and claiming is what counts a delivery. (XAUTOCLAIM would hand
    out all of them: with one killer among 500 the others would be counted along with it, and at the
    sixth delivery be kept raw although nothing is wrong with them.)
    """
    beyond_suspicion = [entry for entry in pending if entry.deliveries + 1 < ALONE_FROM]
    return beyond_suspicion or list(pending[:1])
