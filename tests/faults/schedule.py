"""A seeded schedule of faults: what goes wrong when. The same seed, the same schedule."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Fault(StrEnum):
    """What can go wrong without root."""

    KILL = "SIGKILL of a process"
    TERMINATE = "SIGTERM of a process"
    FREEZE = "a process frozen, then thawed"
    VALKEY_KILLED = "Valkey killed and restarted"
    VALKEY_CLIENTS = "all connections to Valkey cut"
    CELERY_FORGOTTEN = "the Celery keys gone"
    POSTGRES_KILLED = "PostgreSQL killed and restarted"
    POSTGRES_CLIENTS = "all connections to PostgreSQL cut"
    PARTNER_ERRORS = "the partner answers 503"
    PARTNER_HANGS = "the partner hangs"
    PARTNER_HANGS_UP = "the partner hangs up without an answer"
    PARTNER_LOSES = "the partner acts and its answer is lost"
    RUBBISH = "malformed entries on the stream"


SHARES = {
    Fault.KILL: 40,
    Fault.TERMINATE: 12,
    Fault.FREEZE: 8,
    Fault.VALKEY_KILLED: 3,
    Fault.VALKEY_CLIENTS: 6,
    Fault.CELERY_FORGOTTEN: 3,
    Fault.POSTGRES_KILLED: 3,
    Fault.POSTGRES_CLIENTS: 6,
    Fault.PARTNER_ERRORS: 5,
    Fault.PARTNER_HANGS: 3,
    Fault.PARTNER_HANGS_UP: 4,
    Fault.PARTNER_LOSES: 4,
    Fault.RUBBISH: 6,
}
ROLES = ("intake", "intake", "deliver", "deliver", "sweep", "beat")


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault: when, on whom, for how long."""

    at: float  # seconds after the load began
    fault: Fault
    role: str
    seconds: float


def plan(*, seed: int, seconds: float, every: float) -> Iterator[Planned]:
    """Faults about *every* so many seconds; each kind comes once before any comes by chance."""
    rng = Random(seed)  # noqa: S311 - faults, nothing secret
    firsts = list(Fault)
    rng.shuffle(firsts)
    at = 0.0
    while True:
        at += every * rng.uniform(0.5, 1.5)
        if at >= seconds:
            return
        fault = firsts.pop() if firsts else rng.choices(list(SHARES), list(SHARES.values()))[0]
        yield Planned(at, fault, rng.choice(ROLES), rng.uniform(0.5, 3.0))
