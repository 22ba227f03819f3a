"""Replace a release that is at work by this one, step by step under load, and compare the records.

    python -m tests.faults.rollout --from CHECKOUT [--seconds 20] [--lives 20]

CHECKOUT is one of the release that is replaced, as `git worktree add CHECKOUT TAG` makes it. Its
processes run its code with the packages of this environment. At the end the backends publish every
event again: a release must know those that another one stored. Exit code 0 only if nothing is lost,
illegal or early, and no process ended by itself.
"""

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Final

from models.platform.encryption import new_secret
from producers.publisher import Publisher
from producers.simulation.partner import SimulatedPartner
from tests.faults.reconciliation import Records, compare_records, unfinished
from tests.support import databases
from tests.support.celery_process import environment
from tests.support.procfile_processes import Running
from tests.support.running_stack import OPERATOR, RunningStack
from tests.support.server_folders import passable_folder
from tests.support.sources import ROOT
from tests.support.wait import eventually
from worker.local.servers import embedded_servers

PROCESSES: Final = ("intake", "deliver", "sweep", "beat")
SLIPWAY: Final = "from worker.cli import main; main()"
# A rollback that comes later is rightly refused; a machine that starts eight processes is slow.
CLOSE_DELAY: Final = timedelta(seconds=30)
STEP_MAX: Final = timedelta(minutes=2)  # until the first event of a step is taken in
DRAINED_MAX: Final = timedelta(minutes=5)
LEDGER_MAX: Final = 5_000_000  # everything is kept: the records need it all
AT_ONCE: Final = 500
COUNTED: Final = "SELECT count(*) FROM ticket_event"
REPEATS: Final = "SELECT coalesce(sum(repeats), 0) FROM ticket_event"


@dataclass(slots=True)
class Release:
    """The code of a checkout, and the environment in which its programs run."""

    name: str
    root: Path
    settings: Mapping[str, str]
    folder: Path
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def environment(self) -> dict[str, str]:
        """Its settings, and its own modules before those that are installed here."""
        return {**self.settings, "PYTHONPATH": str(self.root)}

    def slipway(self, *arguments: str) -> str:
        """Run a command; what it prints. Raises RuntimeError with what it says if it fails."""
        done = subprocess.run(
            [sys.executable, "-c", SLIPWAY, *arguments],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"slipway {arguments[0]} of the {self.name} release: {done.stderr}")
        return done.stdout

    def start(self) -> tuple[Running, ...]:
        """Start one process of each kind, beside those that are there."""
        number = next(self.numbers)
        folder = self.folder / f"{self.name}-{number}"
        folder.mkdir()
        return tuple(
            Running(
                name,
                env=self.environment,
                folder=folder,
                number=number,
                start=subprocess.Popen,
                root=self.root,
            )
            for name in PROCESSES
        )


@dataclass(slots=True)
class Rollout:
    """An installation whose release is replaced while its backends publish."""

    stack: RunningStack
    older: Release
    newer: Release
    seconds: float
    codes: dict[str, int] = field(default_factory=dict)

    def steps(self, ends: ExitStack) -> Iterator[str]:
        """Take one step after the other, each as long as it must work; say which is over."""
        old = self._start(self.older, ends)
        yield self._work("the older release alone")
        self.newer.slipway("migrate")
        yield self._work("its processes on the newer schema")
        new = self._start(self.newer, ends)
        yield self._work("both at work")
        self._stop(new)
        yield self._work("taken back: the older one alone")
        new = self._start(self.newer, ends)
        self._stop(old)
        yield self._work("the newer one alone")
        self.newer.slipway("migrate", "--finalize", "--yes")
        yield self._work("finalized")

    def _start(self, release: Release, ends: ExitStack) -> tuple[Running, ...]:
        started = release.start()
        for process in started:
            ends.callback(process.kill)
        self.stack.running = (*self.stack.running, *started)
        eventually(
            lambda: self.stack.must_live() and all(map(_ends_in_order, started)), within=STEP_MAX
        )
        return started

    def _stop(self, processes: tuple[Running, ...]) -> None:
        for process in processes:
            process.tell_to_end()
        self.codes |= {f"{process.node} {process.pid}": process.code() for process in processes}
        self.stack.running = tuple(
            process for process in self.stack.running if process not in processes
        )

    def _work(self, step: str) -> str:
        """Let *seconds* go by in which events must be taken in."""
        url = self.stack.servers.database_url
        (before,) = databases.ask(url, COUNTED)
        until = time.monotonic() + self.seconds

        def worked() -> bool:
            over = self.stack.must_live() and time.monotonic() > until
            return over and databases.ask(url, COUNTED) > (before,)

        eventually(worked, within=STEP_MAX + timedelta(seconds=self.seconds))
        (after,) = databases.ask(url, COUNTED)
        return f"{step}: {after - before} events"

    def finish(self) -> Records:
        """Wait until all is done, publish everything again, wait, stop and compare."""
        self._drain()
        self._publish_again()
        self._drain()
        self._stop(self.stack.running)
        return compare_records(
            self.stack.servers,
            self.stack.published,
            self.stack.partner.ledger.entries(),
            close_delay=CLOSE_DELAY,
        )

    def _publish_again(self) -> None:
        events = self.stack.published.events
        publisher = Publisher.at(self.stack.servers.redis_url)
        for first in range(0, len(events), AT_ONCE):
            publisher.publish_many(events[first : first + AT_ONCE])
        publisher.close()

    def _drain(self) -> None:
        def drained() -> bool:
            self.stack.must_live()
            return not unfinished(self.stack.servers)

        eventually(drained, within=DRAINED_MAX)


def _ends_in_order(process: Running) -> bool:
    """Whether it has come as far as to handle SIGTERM."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def main() -> int:
    """Roll this release out over another one."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--from", dest="checkout", type=Path, required=True, help="a checkout")
    options.add_argument("--seconds", type=float, default=20.0, help="of load, for each step")
    options.add_argument("--lives", type=float, default=20.0, help="that begin each second")
    given = options.parse_args()
    with passable_folder() as folder, ExitStack() as ends:
        return _roll_out(given.checkout.resolve(), given.seconds, given.lives, folder, ends)


def _roll_out(checkout: Path, seconds: float, lives: float, folder: Path, ends: ExitStack) -> int:
    secret = new_secret()
    servers = ends.enter_context(embedded_servers(durable=False, within=folder))
    partner = ends.enter_context(SimulatedPartner(secret=secret, entries_max=LEDGER_MAX))
    settings = environment(
        folder,
        database_url=servers.database_url,
        redis_url=servers.redis_url,
        partner_networks="127.0.0.0/8",
    )
    older = Release("older", checkout, settings, folder)
    rollout = Rollout(
        RunningStack(servers, partner, ()),
        older,
        Release("newer", ROOT, settings, folder),
        seconds,
    )
    older.slipway("migrate")
    _add_operator(older, partner.url, secret)
    with rollout.stack.load(lives_per_second=lives):
        for line in rollout.steps(ends):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
    return _report(rollout)


def _add_operator(release: Release, url: str, secret: str) -> None:
    file = release.folder / "secret"
    file.write_text(secret, encoding="ascii")
    delay = f"{CLOSE_DELAY.seconds}s"
    terms = ("--url", url, "--protocol", "pam", "--close-delay", delay, "--secret-file", str(file))
    release.slipway("operators", "add", OPERATOR, *terms, "--by", "rollout", "--why", "trial")


def _report(rollout: Rollout) -> int:
    records = rollout.finish()
    (repeats,) = databases.ask(rollout.stack.servers.database_url, REPEATS)
    problems = (*records.verdict.violations, *records.reconciliation.discrepancies, *records.lost)
    passed = (
        records.balanced and set(rollout.codes.values()) == {0} and repeats >= records.published
    )
    lines = (
        f"published: {records.published}, each twice; known as repeats: {repeats}",
        f"outcomes: {dict(records.outcomes)}; rejected input: {dict(records.raw)}",
        f"lost {len(records.lost)}, illegal {records.verdict.illegal}, early {records.early}",
        f"left on the stream {records.left_on_stream}, unfinished {records.unfinished}",
        *(f"{name} ended with {code}" for name, code in rollout.codes.items() if code),
        *problems[:20],
        "passed" if passed else "FAILED",
    )
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
