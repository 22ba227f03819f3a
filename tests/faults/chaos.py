"""Break it on purpose: a full set of processes under load, faults by a seeded schedule, the books.

`make chaos` runs the long form; `python -m tests.faults.chaos --help` tells the options. At the
end everything drains, and what was published is compared with the event log, the tickets and the
partner's ledger.
"""

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from models.events.reading import received_at
from producers.publisher import Publisher
from producers.simulation.backends import Published, play
from producers.simulation.partner import Rule, SimulatedPartner
from producers.simulation.partner import behaviour as acts
from producers.simulation.stories import stories
from producers.wall_clock import utc_now
from tests.faults.books import Books, asking, open_books, unfinished
from tests.faults.fleet import Fleet
from tests.faults.schedule import Fault, Planned, plan
from worker.embedded import Servers

OPERATOR = "chaos"
RECOVERED_SECONDS_MAX = 60.0
STANDSTILL_SECONDS_MAX = 60.0
BEHIND = timedelta(seconds=2)
RUBBISH = (b"", b"{", b"[]", b'{"action":"ticket_win"}', b"\xff\xfe", b"null", b'"\\ud800"')
CUT_DATABASE = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> "
    "pg_backend_pid() AND backend_type = 'client backend'"
)


@dataclass(frozen=True, slots=True)
class Trial:
    """What to run."""

    seed: int
    seconds: float  # of load
    lives_per_second: float
    fault_every: float  # seconds between faults, on average
    close_delay: timedelta = timedelta(seconds=30)


@dataclass(slots=True)
class Report:
    """What was broken, and what the books say."""

    trial: Trial
    faults: Counter[str] = field(default_factory=Counter)
    slowest_recovery: dict[str, float] = field(default_factory=dict)
    restarts: Counter[str] = field(default_factory=Counter)
    bad_ends: list[str] = field(default_factory=list)
    exit_codes: list[int] = field(default_factory=list)
    drained_after: float = 0.0
    books: Books | None = None


class Chaos:
    """One trial on running servers, with a partner that keeps a ledger."""

    def __init__(
        self, trial: Trial, servers: Servers, partner: SimulatedPartner, fleet: Fleet
    ) -> None:
        """Prepare; nothing is broken before `run`."""
        self._trial = trial
        self._servers = servers
        self._partner = partner
        self._fleet = fleet
        self._rng = Random(trial.seed)  # noqa: S311 - faults, nothing secret
        self._watch = Redis.from_url(servers.redis_url, socket_timeout=2, decode_responses=True)
        self.report = Report(trial)

    def run(self) -> Report:
        """Load, break, drain, stop everything, and open the books."""
        published = Published()
        done = threading.Event()
        load = threading.Thread(target=self._load, args=(published, done), daemon=True)
        self._fleet.start()
        load.start()
        began = time.monotonic()
        for planned in plan(
            seed=self._trial.seed, seconds=self._trial.seconds, every=self._trial.fault_every
        ):
            self._until(began + planned.at)
            self._strike(planned)
        self._until(began + self._trial.seconds)
        self._partner.behave_well()
        while not done.is_set():
            self._mend(0.2)
        self._drain()
        self._watch.close()
        self.report.exit_codes = self._fleet.stop()
        self.report.restarts, self.report.bad_ends = self._fleet.restarts, self._fleet.bad_ends
        self.report.books = open_books(
            self._servers,
            published,
            self._partner.ledger.entries(),
            close_delay=self._trial.close_delay,
        )
        return self.report

    def _load(self, published: Published, done: threading.Event) -> None:
        """Simulated backends; they keep what could not be published and try again."""
        told = stories(
            int(self._trial.seconds * self._trial.lives_per_second),
            operators=[OPERATOR],
            seed=self._trial.seed,
            lives_per_second=self._trial.lives_per_second,
        )
        publisher = Publisher.at(self._servers.redis_url)
        try:
            result = play(told, publisher, wait=threading.Event().wait)
            published.events, published.unconfirmed = result.events, result.unconfirmed
        finally:
            publisher.close()
            done.set()

    def _drain(self) -> None:
        """Wait until nothing is left, or nothing has moved for a while."""
        began = moved = time.monotonic()
        patience = STANDSTILL_SECONDS_MAX + self._trial.close_delay.total_seconds()
        least = left = unfinished(self._servers)
        while left and time.monotonic() - moved < patience:
            self._mend(0.5)
            left = unfinished(self._servers)
            if left < least:
                least, moved = left, time.monotonic()
        self.report.drained_after = time.monotonic() - began

    def _until(self, moment: float) -> None:
        while time.monotonic() < moment:
            self._mend(0.1)

    def _mend(self, pause: float) -> None:
        self._fleet.mend()
        threading.Event().wait(pause)

    def _strike(self, planned: Planned) -> None:
        self.report.faults[planned.fault] += 1
        with ExitStack() as after:
            self._do(planned, after)
            if planned.fault in _WHO_NEEDS_TIME:
                self._until(time.monotonic() + planned.seconds)
        ended = time.monotonic()
        if planned.fault in _RECOVERS:
            while self._behind() and time.monotonic() - ended < RECOVERED_SECONDS_MAX * 2:
                self._mend(0.1)
            took = time.monotonic() - ended
            before = self.report.slowest_recovery.get(planned.fault, 0.0)
            self.report.slowest_recovery[planned.fault] = max(before, took)

    def _do(self, planned: Planned, after: ExitStack) -> None:
        match planned.fault:
            case Fault.KILL:
                self._fleet.strike(signal.SIGKILL, planned.role, self._rng)
            case Fault.TERMINATE:
                self._fleet.strike(signal.SIGTERM, planned.role, self._rng)
            case Fault.FREEZE:
                frozen = self._fleet.strike(signal.SIGSTOP, planned.role, self._rng)
                after.callback(frozen.process.send_signal, signal.SIGCONT)
            case Fault.VALKEY_KILLED:
                self._servers.valkey.kill()
                after.callback(self._servers.valkey.start)
            case Fault.POSTGRES_KILLED:
                self._servers.postgres.kill()
                after.callback(self._servers.postgres.start)
            case Fault.VALKEY_CLIENTS:
                self._quietly(lambda: self._watch.client_kill_filter(_type="normal", skipme=True))
            case Fault.POSTGRES_CLIENTS:
                self._quietly(self._cut_database)
            case Fault.CELERY_FORGOTTEN:
                self._quietly(self._forget_celery)
            case Fault.RUBBISH:
                self._quietly(self._litter)
            case _:
                self._partner.behave(Rule(_BEHAVIOURS[planned.fault]))
                after.callback(self._partner.behave_well)

    def _quietly(self, act: Callable[[], object]) -> None:
        """Some faults meet a server that is away already."""
        try:
            act()
        except (RedisError, DBAPIError):
            return

    def _cut_database(self) -> None:
        with asking(self._servers.database_url) as connection:
            connection.execute(CUT_DATABASE)

    def _forget_celery(self) -> None:
        for key in self._watch.scan_iter(count=1000):
            if not key.startswith("ticket-events"):
                self._watch.delete(key)

    def _litter(self) -> None:
        for rubbish in RUBBISH:
            self._watch.xadd("ticket-events", {"event": rubbish})

    def _behind(self) -> bool:
        """Whether an entry has waited on the stream for longer than `BEHIND`."""
        try:
            oldest = self._watch.xrange("ticket-events", count=1)
        except RedisError:
            return True
        if not oldest:
            return False
        entered = received_at(str(oldest[0][0]))
        return utc_now() - entered > BEHIND


_WHO_NEEDS_TIME = frozenset(Fault) - {
    Fault.KILL,
    Fault.TERMINATE,
    Fault.VALKEY_CLIENTS,
    Fault.POSTGRES_CLIENTS,
    Fault.CELERY_FORGOTTEN,
    Fault.RUBBISH,
}
_RECOVERS = frozenset(
    {Fault.VALKEY_KILLED, Fault.POSTGRES_KILLED, Fault.VALKEY_CLIENTS, Fault.POSTGRES_CLIENTS}
)
_BEHAVIOURS: dict[Fault, acts.Behaviour] = {
    Fault.PARTNER_ERRORS: acts.Answer(status=503),
    Fault.PARTNER_HANGS: acts.Hang(),
    Fault.PARTNER_HANGS_UP: acts.CloseWithoutAnswer(),
    Fault.PARTNER_LOSES: acts.CloseWithoutAnswer(taken=True),
}


def log_of(folder: Path) -> Path:
    """Where the processes of a trial write."""
    return folder / "processes.log"
