"""The starter's end of a leash: start a server that cannot outlive this process, and signal it."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from worker.local.servers.errors import ServerFailed
from worker.local.servers.orphan_guard import Order
from worker.local.servers.privileges import Account

LEASH = Path(__file__).with_name("orphan_guard.py")
PATIENCE_SECONDS = 10.0  # from asking a server to end to killing it


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start: where, as whom, with which farewell.

    `lock` is a file descriptor the leash holds as long as the server lives, so that the lock on a
    data folder outlasts a starter that was killed. `discard` is deleted when the starter is gone.
    """

    command: list[str]
    environment: dict[str, str]
    folder: Path
    log: Path
    account: Account | None
    lock: int
    farewell: signal.Signals
    discard: Path | None


class Leashed:
    """One running server. Not shared between threads."""

    def __init__(self, launch: Launch) -> None:
        """Start it; raises ServerFailed when the system cannot execute it."""
        self._farewell = launch.farewell
        with launch.log.open("ab") as log:
            self._leash = subprocess.Popen(
                # -I -S: no site-packages, no environment; it starts in half the time
                [sys.executable, "-I", "-S", str(LEASH), json.dumps(_order(launch))],
                bufsize=0,
                cwd="/",
                env=launch.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=(launch.lock,),
                start_new_session=True,  # Ctrl-C is for us: the servers end last
            )
        assert self._leash.stdout is not None, "opened as a pipe above"
        with self._leash.stdout as output:
            report = output.readline().decode(errors="replace").strip()
        if not report.isdigit():
            self.wait(PATIENCE_SECONDS)
            problem = report.removeprefix("! ") or f"the leash ended; see {launch.log}"
            raise ServerFailed(f"{launch.command[0]} cannot be started: {problem}")
        self.pid = int(report)

    @property
    def ended(self) -> bool:
        """Whether the server is gone."""
        return self._leash.poll() is not None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server; no effect when it has ended."""
        assert self._leash.stdin is not None, "opened as a pipe when it was started"
        try:
            os.write(self._leash.stdin.fileno(), bytes([number]))
        except BrokenPipeError:
            return

    def wait(self, seconds_max: float) -> None:
        """Return when the server is gone; raises subprocess.TimeoutExpired otherwise."""
        self._leash.wait(seconds_max)
        if self._leash.stdin is not None:
            self._leash.stdin.close()

    def end(self) -> None:
        """Ask the server to end, kill it if it does not, and return when it is gone."""
        if not self.ended:
            self.signal(self._farewell)
        try:
            self.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL the server, as a crash would, and return when it is gone."""
        if not self.ended:
            self.signal(signal.SIGKILL)
        self.wait(PATIENCE_SECONDS)


def _order(launch: Launch) -> Order:
    account = launch.account
    return Order(
        command=launch.command,
        folder=str(launch.folder),
        uid=None if account is None else account.uid,
        gid=None if account is None else account.gid,
        farewell=launch.farewell,
        patience_seconds=PATIENCE_SECONDS,
        discard=None if launch.discard is None else str(launch.discard),
    )
