"""How many notices may be claimed for an operator: its concurrency and rate limits, its circuit.

For a minute after its circuit closed, both limits ramp up.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

RAMP: Final = timedelta(minutes=1)  # from a tenth to the whole, after a circuit closed
_RAMP_START: Final = 0.1
_BUCKET: Final = timedelta(seconds=0.25)  # of the rate: the most that goes out at once


@dataclass(frozen=True, slots=True)
class PartnerLimits:
    """An operator's limits and its circuit, as locked by the deliverer that is about to claim."""

    operator: int
    in_flight_max: int  # requests, of all deliverers together
    rate: float | None  # notices per second, of all deliverers together
    calls_elsewhere: int  # requests that the other deliverers have in flight
    closed_at: datetime | None  # when its circuit closed last
    probe_at: datetime | None  # when the next probe may go; None: the circuit is closed
    probe_youngest: bool
    tokens: float
    tokens_at: datetime | None

    def quota(self, *, calls: int, now: datetime) -> "Quota":
        """Return what a deliverer that has *calls* in flight may claim."""
        if self.probe_at is not None:
            probes = 1 if now >= self.probe_at else 0
            return Quota(self, probes, is_probe=True)
        share = self._share(now)
        free = max(0, math.ceil(self.in_flight_max * share) - self.calls_elsewhere - calls)
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
        bucket = max(1.0, rate * _BUCKET.total_seconds())
        if self.tokens_at is None:
            return bucket
        elapsed = max(0.0, (now - self.tokens_at).total_seconds())
        return min(bucket, self.tokens + rate * elapsed)


@dataclass(frozen=True, slots=True)
class Quota:
    """How many notices of an operator may be claimed now: *free*, or one as a probe."""

    limits: PartnerLimits
    free: int
    is_probe: bool = False
    rate: float | None = None  # as it is now
    tokens: float = 0.0

    def tokens_left(self, claimed: int) -> float | None:
        """Return the tokens left after *claimed* notices, or None if there is no rate limit."""
        return None if self.rate is None else self.tokens - claimed

    def wait_for_next(self, claimed: int) -> timedelta | None:
        """Return how long the rate holds the next notice back, or None if it does not.

        What was left unclaimed then was not due, or there was no free place for it.
        """
        if self.rate is None or claimed < int(self.tokens):
            return None
        missing = 1.0 - (self.tokens - claimed)
        return timedelta(seconds=max(0.0, missing) / self.rate)
