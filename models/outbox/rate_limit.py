"""How much an operator is sent now: its cap, its rate, its circuit, the minute after it closed."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

RAMP: Final = timedelta(minutes=1)  # from a tenth to the whole, after a circuit closed
_RAMP_START: Final = 0.1
_BUCKET: Final = timedelta(seconds=0.25)  # of the rate: the most that goes out at once


@dataclass(frozen=True, slots=True)
class PartnerLimits:
    """An operator's circuit, locked by whoever is about to claim, and the operator's limits."""

    operator: int
    cap: int  # requests in flight, of all deliverers together
    rate: float | None  # notices per second, of all deliverers together
    others: int  # requests the other deliverers have in flight
    closed_at: datetime | None  # when its circuit closed last
    probe_at: datetime | None  # its circuit is open: when the next probe may go
    probe_youngest: bool
    tokens: float
    tokens_at: datetime | None

    def quota(self, *, calls: int, now: datetime) -> "Quota":
        """Say what may be claimed by a deliverer that has *calls* in flight."""
        if self.probe_at is not None:
            probes = 1 if now >= self.probe_at else 0
            return Quota(self, probes, is_probe=True)
        share = self._share(now)
        free = max(0, math.ceil(self.cap * share) - self.others - calls)
        if self.rate is None:
            return Quota(self, free)
        rate = self.rate * share
        tokens = self._tokens(rate, now)
        return Quota(self, min(free, int(tokens)), rate=rate, tokens=tokens)

    def _share(self, now: datetime) -> float:
        if self.closed_at is None:
            return 1.0
        return min(1.0, max(_RAMP_START, (now - self.closed_at) / RAMP))

    def _tokens(self, rate: float, now: datetime) -> float:
        most = max(1.0, rate * _BUCKET.total_seconds())
        if self.tokens_at is None:
            return most
        since = max(0.0, (now - self.tokens_at).total_seconds())
        return min(most, self.tokens + rate * since)


@dataclass(frozen=True, slots=True)
class Quota:
    """How many notices of an operator may be claimed now: *free*, or one as a probe."""

    gate: PartnerLimits
    free: int
    is_probe: bool = False
    rate: float | None = None  # as it is now
    tokens: float = 0.0

    def left(self, claimed: int) -> float | None:
        """Tokens after *claimed* were taken; None: there is no rate to keep."""
        return None if self.rate is None else self.tokens - claimed

    def until_next(self, claimed: int) -> timedelta | None:
        """How long until the rate lets the next one go; None: it holds nothing back.

        What was left unclaimed was not due, or had no place.
        """
        if self.rate is None or claimed < int(self.tokens):
            return None
        missing = 1.0 - (self.tokens - claimed)
        return timedelta(seconds=max(0.0, missing) / self.rate)
