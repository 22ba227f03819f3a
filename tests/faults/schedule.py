"""A seeded schedule of faults: what goes wrong when. The same seed, the same schedule."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Fault(StrEnum):
    """What can go wrong without root."""

    KILL = "SIGKILL of a process"
    TERMINATE = "SIGTERM of a process"
    FREEZE = "a process frozen, then thawed"
    RUBBISH = "malformed entries on the stream"
    CELERY_FORGOTTEN = "the Celery keys gone"
    VALKEY_KILLED = "Valkey killed and restarted"
    VALKEY_CLIENTS = "all connections to Valkey cut"
    VALKEY_FULL = "Valkey out of memory"
    VALKEY_READ_ONLY = "Valkey read-only"
    VALKEY_LACKS_REPLICAS = "Valkey without the replica it wants"
    VALKEY_LONG_READ_ONLY = "Valkey read-only for minutes"
    VALKEY_LONG_WITHOUT_REPLICAS = "Valkey without the replica it wants, for minutes"
    STREAM_FROM_THE_FUTURE = "the stream's ids from the future"
    STREAM_OF_ANOTHER_TYPE = "the stream's key of another type"
    VALKEY_FAILS_OVER = "Valkey fails over, twice"
    POSTGRES_KILLED = "PostgreSQL killed and restarted"
    POSTGRES_FAILS_OVER = "PostgreSQL fails over, twice"
    POSTGRES_CLIENTS = "all connections to PostgreSQL cut"
    POSTGRES_TABLE_LOCKED = "PostgreSQL: a table locked"
    POSTGRES_ROWS_LOCKED = "PostgreSQL: all tickets locked"
    POSTGRES_DEADLOCKS = "PostgreSQL: deadlocks"
    POSTGRES_CONFLICTS = "PostgreSQL: serialization errors"
    POSTGRES_CANCELS = "PostgreSQL: statements time out"
    POSTGRES_ENDS = "PostgreSQL: sessions ended again and again"
    POSTGRES_READ_ONLY = "PostgreSQL read-only"
    POSTGRES_FULL = "PostgreSQL takes no connection"
    POSTGRES_INTERNAL_ERRORS = "PostgreSQL: internal errors (XX000)"
    PARTNER_ERRORS = "the partner answers 503"
    PARTNER_HANGS = "the partner hangs"
    PARTNER_GIVES_NO_RESPONSE = "the partner closes without a response"
    PARTNER_LOSES = "the partner acts and its answer is lost"
    PARTNER_CLOSES = "the partner closes after each answer"
    PARTNER_IS_ODD = "the partner answers oddly, but lawfully"
    PARTNER_RELOADS = "the partner's front end (nginx) reloads"
    RESETS = "connections reset"
    HALF_OPEN = "half-open connections"
    LATENCY = "2 s of latency"
    PARTITION = "a partition"


class Place(StrEnum):
    """The far end of a line."""

    POSTGRES = "PostgreSQL"
    VALKEY = "Valkey"
    PARTNER = "the partner"


NETWORK = frozenset({Fault.RESETS, Fault.HALF_OPEN, Fault.LATENCY, Fault.PARTITION})
# What is over at once.
SUDDEN = frozenset(
    {
        Fault.KILL,
        Fault.TERMINATE,
        Fault.RUBBISH,
        Fault.CELERY_FORGOTTEN,
        Fault.VALKEY_CLIENTS,
        Fault.POSTGRES_CLIENTS,
    }
)
# Once in a trial, as long as it says.
LONG = frozenset({Fault.VALKEY_LONG_READ_ONLY, Fault.VALKEY_LONG_WITHOUT_REPLICAS})
# After all others it is waited until the work goes on.
HARMLESS = frozenset({Fault.KILL, Fault.TERMINATE, Fault.FREEZE, Fault.RUBBISH})
SHARES = (
    dict.fromkeys(Fault, 2)
    | dict.fromkeys(LONG, 0)
    | {
        Fault.KILL: 220,
        Fault.TERMINATE: 24,
        Fault.FREEZE: 8,
        Fault.RUBBISH: 4,
        Fault.CELERY_FORGOTTEN: 3,
        Fault.VALKEY_CLIENTS: 3,
        Fault.POSTGRES_CLIENTS: 3,
        Fault.RESETS: 3,
        Fault.HALF_OPEN: 3,
        Fault.LATENCY: 3,
        Fault.PARTITION: 3,
    }
)
ROLES = ("intake", "intake", "deliver", "deliver", "sweep", "beat")
SECONDS_MIN = 0.5
EVEN = 0.5  # a coin


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault: on whom, for how long, and after which pause."""

    fault: Fault
    role: str
    pause: float  # seconds since the one before
    seconds: float
    place: Place
    first: bool  # of its kind
    # The network fails for one process of the role and not for all; the partner misbehaves a few
    # times and not until the end: too seldom to be given up.
    mild: bool
    mixed: bool  # a process of the role is killed meanwhile

    def in_words(self) -> str:
        """Its kind, as the report lists it."""
        if self.fault not in NETWORK:
            return self.fault.value
        return f"the way to {self.place.value}: {self.fault.value}"


def plan(
    *,
    seed: int,
    every: float,
    longest: float,
    long: float,
    without: AbstractSet[Fault] = frozenset(),
) -> Iterator[Planned]:
    """Faults without end, about *every* so many seconds; each kind once, then by chance.

    Those that last for minutes last *long*, others up to *longest*. *without*: what cannot be here.
    """
    rng = Random(seed)  # noqa: S311 - faults, nothing secret
    shares = {fault: share for fault, share in SHARES.items() if fault not in without}
    firsts = list(shares)
    rng.shuffle(firsts)
    while True:
        first = bool(firsts)
        fault = firsts.pop() if first else rng.choices(list(shares), list(shares.values()))[0]
        seconds = rng.uniform(SECONDS_MIN, longest)
        yield Planned(
            fault=fault,
            role=rng.choice(ROLES),
            pause=every * rng.uniform(0.5, 1.5),
            seconds=long if fault in LONG else seconds,
            place=rng.choice((Place.POSTGRES, Place.VALKEY) if first else tuple(Place)),
            first=first,
            mild=first or rng.random() < EVEN,
            mixed=not first and rng.random() < EVEN,
        )
