"""`python -m tests.faults.root_faults`: a server's disk is full for a while. Needs root (tmpfs).

First PostgreSQL's, then Valkey's: a small disk of its own, filled to the last byte under load and
kept full, then freed. A server that ends over it is started again when there is room, as its
orchestrator would. Exit code 0 only if nothing was lost and all was delivered in order.
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import psycopg

from tests.faults.one_of_each import Trial, one_of_each
from tests.faults.outcomes import ALL_WELL, Settled, is_well, settled
from tests.support import databases
from tests.support.server_folders import passable_folder
from tests.support.wait import eventually, pause
from worker.local.servers import embedded_servers
from worker.local.servers.local_server import LocalServer
from worker.local.servers.privileges import Account, server_account

BESIDE_SECONDS: Final = 2.0  # of load before the disk is full, and after
RECOVERED_MAX: Final = timedelta(seconds=60)
MOUNT: Final = "/bin/mount"
UMOUNT: Final = "/bin/umount"
BLOCK: Final = bytes(1024 * 1024)
LEAST_BLOCK: Final = 512
TOP_UP_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Disk:
    """Whose disk, how large, and how its refusals appear in the processes' logs."""

    server: str
    megabytes: int
    refusal: str
    hard: bool = False  # not even room for PostgreSQL's log of changes: it ends

    @property
    def name(self) -> str:
        """What it is called in the report."""
        return f"{self.server}, {self.megabytes} MB{', no WAL either' if self.hard else ''}"


DISKS: Final = (
    Disk("postgres", 300, "53100"),
    Disk("postgres", 300, "53100", hard=True),
    Disk("valkey", 64, "MISCONF"),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a full disk did."""

    published: int
    refusals: int  # in the logs of the processes
    ended: bool  # the server, by itself
    recovered_seconds: float | None  # from the moment there was room again; None: not in time
    left: Settled


def main() -> int:
    """Fill the disks one after the other, and print what was seen."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=10.0, help="for which a disk is full")
    given = options.parse_args()
    if os.geteuid() != 0:
        sys.stderr.write("root is needed to mount a small disk: run it as root\n")
        return 2
    outcomes = {disk: _try(disk, seconds=given.seconds) for disk in DISKS}
    sys.stdout.write(in_words(outcomes, seconds=given.seconds) + "\n")
    return 0 if all(outcome.left == ALL_WELL for outcome in outcomes.values()) else 1


def in_words(outcomes: dict[Disk, Outcome], *, seconds: float) -> str:
    """The counts as Markdown."""
    lines = [
        f"A disk full for {seconds:g} s, under load:",
        "",
        "| whose | published | applied | lost | dead | out of order | logged | server | recovery |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for disk, outcome in outcomes.items():
        took = outcome.recovered_seconds
        cells = [
            disk.name,
            outcome.published,
            outcome.published - outcome.left.rows.lost,
            outcome.left.rows.lost,
            outcome.left.rows.dead,
            len(outcome.left.out_of_order) + len(outcome.left.illegal),
            f"{outcome.refusals} x {disk.refusal}",
            "ended, started again" if outcome.ended else "stayed",
            "not in time" if took is None else f"after {took:.1f} s",
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _try(disk: Disk, *, seconds: float) -> Outcome:
    with ExitStack() as endings:
        folder = endings.enter_context(passable_folder())
        data = folder / "data"
        data.mkdir(mode=0o711)
        account = server_account(None)
        assert account is not None, "root has a user for the servers"
        place = data / disk.server
        endings.enter_context(_small_disk(place, disk.megabytes, account))
        servers = endings.enter_context(embedded_servers(data, durable=False))
        trial = endings.enter_context(one_of_each(servers, folder))
        return _fill_under_load(trial, disk, place, seconds=seconds)


def _fill_under_load(trial: Trial, disk: Disk, place: Path, *, seconds: float) -> Outcome:
    servers = trial.servers
    server: LocalServer = servers.postgres if disk.server == "postgres" else servers.valkey
    with trial.load(seconds=seconds + 2 * BESIDE_SECONDS) as account:
        pause(BESIDE_SECONDS)
        with _full(place):
            until = time.monotonic() + seconds
            if disk.hard:
                eventually(lambda: _ended(trial, server), within=timedelta(seconds=seconds))
            pause(until - time.monotonic())
        freed_at = time.monotonic()
        ended = not server.running
        server.start()
    left_seconds = RECOVERED_MAX.total_seconds() - (time.monotonic() - freed_at)
    try:
        eventually(
            lambda: trial.everybody_lives() and is_well(trial, account),
            within=timedelta(seconds=max(0.0, left_seconds)),
        )
        recovered, left = time.monotonic() - freed_at, ALL_WELL
    except AssertionError:
        recovered, left = None, settled(trial, account)
    return Outcome(
        published=len(account.events),
        refusals=trial.logged().count(disk.refusal),
        ended=ended,
        recovered_seconds=recovered,
        left=left,
    )


def _ended(trial: Trial, server: LocalServer) -> bool:
    """Have PostgreSQL begin another file of its log, for which there is no room."""
    with suppress(psycopg.Error):
        databases.ask(trial.servers.database_url, "SELECT pg_switch_wal()")
    return not server.running


@contextmanager
def _small_disk(place: Path, megabytes: int, account: Account) -> Iterator[None]:
    """Mount so much memory at *place*, for *account* alone."""
    place.mkdir(mode=0o700)
    allowed = f"size={megabytes}m,mode=0700,uid={account.uid},gid={account.gid}"
    subprocess.run([MOUNT, "-t", "tmpfs", "-o", allowed, "tmpfs", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run([UMOUNT, str(place)], check=True)


@contextmanager
def _full(place: Path) -> Iterator[None]:
    """Leave no byte free on the disk at *place*; what the server frees is taken, too."""
    over = threading.Event()
    filler = place / "filler"

    def keep_full() -> None:
        with filler.open("wb", buffering=0) as file:
            while not over.wait(TOP_UP_SECONDS):
                _fill(file.fileno())

    filling = threading.Thread(target=keep_full, name="filler")
    filling.start()
    try:
        yield
    finally:
        over.set()
        filling.join()
        filler.unlink()


def _fill(file: int) -> None:
    size = len(BLOCK)
    while size >= LEAST_BLOCK:
        try:
            os.write(file, BLOCK[:size])
        except OSError:  # no room for so much
            size //= 2


if __name__ == "__main__":
    sys.exit(main())
