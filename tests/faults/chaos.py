"""Break it on purpose: all processes under load, faults by a seeded schedule, a reconciliation.

`make chaos` runs the long form; `python -m tests.faults --help` tells the options. At the
end everything drains, and what was published is compared with the event log, the tickets and the
partner's ledger.
"""

import time
from collections import Counter
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from producers.wall_clock import utc_now
from tests.faults.cancelled import Span
from tests.faults.descriptors import Descriptors
from tests.faults.fault_actions import FaultTargets, inject
from tests.faults.proxy import UNSEEN_SECONDS_MAX
from tests.faults.reconciliation import Records, compare_records, unfinished
from tests.faults.recovery import Pulse
from tests.faults.schedule import HARMLESS, NETWORK, SUDDEN, Fault, Place, Planned, plan
from tests.support.wait import pause

CALM_SECONDS = 3.0  # before the first fault: what is opened by then is what work needs
UNDER_WAY = timedelta(seconds=2)  # a call that began while the way was cut is over by then
FAILOVER_SECONDS = 30.0  # that sentinels need, and more
UNSEEN = timedelta(seconds=UNSEEN_SECONDS_MAX) + UNDER_WAY
RECOVERED_SECONDS_MAX = 60.0
STANDSTILL_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Trial:
    """What to run."""

    seed: int
    seconds: float  # of load, or longer: until each kind of fault has come once
    lives_per_second: float
    fault_every: float  # seconds from one fault to the next, on average
    close_delay: timedelta = timedelta(seconds=30)
    longest: float = 3.0  # seconds that a fault lasts at most
    long: float = 3.0  # seconds that those for minutes last
    behind: bool = False  # PgBouncer and sentinels, and both servers fail over

    def __post_init__(self) -> None:
        """Refuse what would prove nothing: a close that comes before what is kept by backends."""
        if self.close_delay < self.close_delay_min:
            raise ValueError(
                f"closing after {self.close_delay.total_seconds():g} s is too soon: a rollback that"
                f" its backend cannot publish for {self.longest_outage:g} s would rightly be"
                f" refused; at"
                f" least {self.close_delay_min.total_seconds():g} s"
            )

    @property
    def close_delay_min(self) -> timedelta:
        """Longer than the longest outage and the way of all that was kept meanwhile."""
        return timedelta(seconds=1.25 * self.longest_outage + 6)

    @property
    def longest_outage(self) -> float:
        """For how many seconds backends may have to keep their events."""
        return max(self.long, FAILOVER_SECONDS) if self.behind else self.long


@dataclass(slots=True)
class Report:
    """What was broken, and what the records say."""

    trial: Trial
    clocks: str = "all right"
    faults: Counter[str] = field(default_factory=Counter)  # as the table words them
    kinds: set[Fault] = field(default_factory=set)
    slowest_recovery: dict[str, float] = field(default_factory=dict)
    restarts: Counter[str] = field(default_factory=Counter)
    bad_ends: list[str] = field(default_factory=list)
    exit_codes: list[int] = field(default_factory=list)
    drained_after: float = 0.0
    records: Records | None = None
    left_out: AbstractSet[Fault] = frozenset()
    descriptors: Descriptors = field(default_factory=Descriptors)

    def count(self, planned: Planned) -> None:
        """Count a fault."""
        self.faults[planned.in_words()] += 1
        self.kinds.add(planned.fault)

    @property
    def passed(self) -> bool:
        """The records balance, and each time the work went on by itself, in time."""
        slowest = max(self.slowest_recovery.values(), default=0.0)
        balanced = self.records is not None and self.records.balanced
        return balanced and slowest <= RECOVERED_SECONDS_MAX and self.descriptors.flat


class Chaos:
    """One trial on running servers, with a partner that keeps a ledger."""

    def __init__(
        self,
        trial: Trial,
        targets: FaultTargets,
        pulse: Pulse,
        *,
        clocks: str,
        without: AbstractSet[Fault] = frozenset(),
    ) -> None:
        """Prepare; nothing is broken before `run`. *clocks*: what the report says about them."""
        self._trial = trial
        self._targets = targets
        self._servers, self._partner, self._processes = (
            targets.servers,
            targets.partner,
            targets.processes,
        )
        self._pulse = pulse
        self._cuts: list[Span] = []
        self.report = Report(trial, clocks=clocks, left_out=without)

    def run(self) -> Report:
        """Load, break, drain, stop everything, and open the records."""
        trial = self._trial
        backends = self._targets.backends
        self._processes.start()
        backends.start()
        self._begin()
        began = time.monotonic()
        for planned in plan(
            seed=trial.seed,
            every=trial.fault_every,
            longest=trial.longest,
            long=trial.long,
            without=self.report.left_out,
        ):
            self._until(time.monotonic() + planned.pause)
            if time.monotonic() > began + trial.seconds and not planned.first:
                break
            self._inject(planned)
        self._partner.behave_well()
        backends.enough()
        while not backends.done:
            self._watch_over(0.2)
        self._drain()
        self.report.descriptors.end(self._processes.members)
        self.report.exit_codes = self._processes.stop()
        self.report.restarts, self.report.bad_ends = (
            self._processes.restarts,
            self._processes.bad_ends,
        )
        self.report.records = compare_records(
            self._servers,
            backends.published(),
            self._partner.ledger.entries(),
            close_delay=trial.close_delay,
            cuts=self._cuts,
        )
        return self.report

    def _begin(self) -> None:
        """Wait until the processes work, so that what is broken first is broken in mid-work."""
        give_up = time.monotonic() + STANDSTILL_SECONDS_MAX
        while not self._pulse.begun:
            assert time.monotonic() < give_up, "nothing reached the partner; see the processes' log"
            self._watch_over(0.1)
        self._until(time.monotonic() + CALM_SECONDS)
        self.report.descriptors.begin(self._processes.members)

    def _drain(self) -> None:
        """Wait until nothing is left, or nothing has moved for a while."""
        began = moved = time.monotonic()
        patience = STANDSTILL_SECONDS_MAX + self._trial.close_delay.total_seconds()
        least = left = unfinished(self._servers)
        while left and time.monotonic() - moved < patience:
            self._watch_over(0.5)
            left = unfinished(self._servers)
            if left < least:
                least, moved = left, time.monotonic()
        self.report.drained_after = time.monotonic() - began

    def _until(self, moment: float) -> None:
        while time.monotonic() < moment:
            self._watch_over(0.1)

    def _watch_over(self, seconds: float) -> None:
        self._processes.restart_ended()
        self.report.descriptors.pass_by(self._processes.members)
        pause(seconds)

    def _inject(self, planned: Planned) -> None:
        kind = planned.in_words()
        self.report.count(planned)
        began = utc_now()
        with inject(self._targets, planned):
            if planned.fault not in SUDDEN:
                self._last(planned)
        if planned.fault in NETWORK and planned.place is Place.PARTNER:
            after = UNSEEN if planned.fault is Fault.HALF_OPEN else UNDER_WAY
            self._cuts.append((began, utc_now() + after))
        if planned.fault not in HARMLESS:
            took = self._recover()
            self.report.slowest_recovery[kind] = max(
                self.report.slowest_recovery.get(kind, 0.0), took
            )

    def _recover(self) -> float:
        """Wait until the work goes on by itself; return how many seconds that took."""
        ended, began = utc_now(), time.monotonic()
        give_up = began + 2 * RECOVERED_SECONDS_MAX
        while not self._pulse.goes_on(since=ended) and time.monotonic() < give_up:
            self._watch_over(0.1)
        return time.monotonic() - began

    def _last(self, planned: Planned) -> None:
        """Let a fault last its time; where it is mixed, a process is killed halfway."""
        began = time.monotonic()
        if planned.mixed:
            self._until(began + planned.seconds / 2)
            self._inject(replace(planned, fault=Fault.KILL, mixed=False))
        self._until(began + planned.seconds)


def log_of(folder: Path) -> Path:
    """Where the processes of a trial write."""
    return folder / "processes.log"
