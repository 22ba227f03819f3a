"""A set of processes as in the Procfile, on private servers, restarted as an orchestrator would."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.support.fork_server import Popen
from tests.support.processes import catches
from tests.support.wait import pause
from worker.local.supervisor.procfile import read_procfile

ROOT = Path(__file__).parents[2]
STRENGTH = {"intake": 2, "deliver": 2, "sweep": 2, "beat": 2}
NAMES = tuple(f"{role}{number}" for role, many in STRENGTH.items() for number in range(many))
GRACE_SECONDS = 30.0
POLL_SECONDS = 0.01


@dataclass(slots=True)
class Member:
    """One process, and whether its end was wanted."""

    role: str
    number: int
    process: "subprocess.Popen[bytes]"
    asked_to_end: bool = False

    @property
    def name(self) -> str:
        """Which of the set it is, whatever process it has at the moment: `intake0`."""
        return f"{self.role}{self.number}"


@dataclass(slots=True)
class ProcessSet:
    """Processes by role. Those that end are started again by `restart_ended`."""

    environment: Mapping[str, str]
    log: Path
    own: Callable[[str], Mapping[str, str]]  # what the environment of one adds, by its name
    members: list[Member] = field(default_factory=list)
    bad_ends: list[str] = field(default_factory=list)  # exit codes that no fault explains
    restarts: Counter[str] = field(default_factory=Counter)

    def start(self) -> None:
        """Start every role at its strength."""
        for role, strength in STRENGTH.items():
            for number in range(strength):
                self.members.append(self._launch(role, number))

    def restart_ended(self) -> None:
        """Start again what has ended; an end that was not asked for is noted."""
        for place, member in enumerate(self.members):
            code = member.process.poll()
            if code is None:
                continue
            # SIGTERM may meet a process that has not set up its handlers yet.
            wanted = (0, -signal.SIGTERM) if member.asked_to_end else (-signal.SIGKILL,)
            if code not in (*wanted, -signal.SIGKILL):
                self.bad_ends.append(f"{member.role}: {code}")
            self.restarts[member.role] += 1
            self.members[place] = self._launch(member.role, member.number)

    def send_signal(self, sign: signal.Signals, role: str, rng: Random) -> Member:
        """Send *sign* to one process of *role*."""
        member = self.any_of(role, rng)
        if member.process.poll() is None:
            member.asked_to_end = member.asked_to_end or sign is signal.SIGTERM
            member.process.send_signal(sign)
        return member

    def any_of(self, role: str, rng: Random) -> Member:
        """One of *role*, by chance."""
        return rng.choice([member for member in self.members if member.role == role])

    def stop(self) -> list[int]:
        """SIGTERM to all; their exit codes. What does not end in its grace time is killed."""
        for member in self.members:
            self._ask_to_end(member.process)
        deadline = time.monotonic() + GRACE_SECONDS
        codes: list[int] = []
        for member in self.members:
            try:
                codes.append(member.process.wait(max(0.0, deadline - time.monotonic())))
            except subprocess.TimeoutExpired:
                member.process.kill()
                codes.append(member.process.wait())
        return codes

    @staticmethod
    def _ask_to_end(process: "subprocess.Popen[bytes]") -> None:
        """SIGTERM. Who was started a moment ago is given the time to set up its handler first."""
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
        deadline = time.monotonic() + GRACE_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            if catches(process.pid, signal.SIGTERM):
                process.send_signal(signal.SIGTERM)
                return
            pause(POLL_SECONDS)

    def _launch(self, role: str, number: int) -> Member:
        [line] = [
            entry for entry in read_procfile(ROOT / "Procfile").processes if entry.name == role
        ]
        member = f"{role}{number}"
        command = line.command.replace(f"{role}@%h", f"{member}@%h")
        with self.log.open("ab") as output:
            process = Popen[bytes](
                ["/bin/sh", "-c", f"exec {command}"],
                cwd=ROOT,
                env={**os.environ, **self.environment, **self.own(member), "PATH": _path()},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return Member(role, number, process)


def _path() -> str:
    """Where the Procfile's programs are found: beside this Python first."""
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
