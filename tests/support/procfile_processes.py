"""Processes of the Procfile, started by their lines as any supervisor starts them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from tests.support.celery_process import ENDING_MAX
from tests.support.fork_server import Popen
from tests.support.sources import ROOT
from worker.local.supervisor.procfile import read_procfile

PROCFILE = read_procfile(ROOT / "Procfile")
CELERY = "worker.celery"  # as the Procfile has it
LINES = {line.name: line.command for line in PROCFILE.processes}


class Running:
    """One process of the Procfile; *number* tells several of a kind apart.

    *celery*: the module that is run in the place of Celery's own. *start*: `subprocess.Popen` for a
    test that looks at the start itself (see `tests.support.fork_server`), and for a *root* that is
    the checkout of another release, whose line and code it runs.
    """

    def __init__(
        self,
        name: str,
        *,
        env: Mapping[str, str],
        folder: Path,
        number: int = 1,
        celery: str = CELERY,
        start: "type[subprocess.Popen[bytes]]" = Popen,
        root: Path = ROOT,
    ) -> None:
        self.name = name
        self.node = name if number == 1 else f"{name}-{number}"
        command = command_of(name, root).replace(f"-n {name}@", f"-n {self.node}@")
        command = command.replace(f"-m {CELERY} ", f"-m {celery} ", 1)
        self._log = folder / f"{self.node}.log"
        programs = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
        with self._log.open("wb") as output:
            self._process = start(
                ["/bin/sh", "-c", f"exec {command}"],
                cwd=root,
                env={**env, "PATH": programs},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def tell_to_end(self) -> None:
        """Send SIGTERM, and do not wait."""
        self._process.send_signal(signal.SIGTERM)

    def code(self) -> int:
        """Wait for its end; its exit code."""
        return self._process.wait(ENDING_MAX.total_seconds())

    def must_live(self) -> None:
        """Raise, with what it wrote last, if it has ended. For use inside a wait."""
        assert self._process.poll() is None or self.name == "release", self.wrote()

    def has_ended(self) -> bool:
        """Return whether it has ended."""
        return self._process.poll() is not None

    def wrote(self) -> str:
        """What it wrote last."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-3000:]

    def processor_seconds(self) -> float:
        """How long it has kept a processor busy."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self, *, but_to: int = 0) -> int:
        """How many files and sockets it has open, connections to the port *but_to* left out."""
        return len({*_open_files(self.pid)} - {*_connections_to(but_to)})

    def kill(self) -> None:
        """End it if it is still there."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


def _open_files(pid: int) -> Iterator[str]:
    """What each descriptor stands for, and its number where that is no socket."""
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it has been closed meanwhile
            opened = str(descriptor.readlink())
            yield opened if opened.startswith("socket:") else f"{descriptor.name} {opened}"


def _connections_to(port: int) -> Iterator[str]:
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        _, _, far_end, *_, inode = line.split()[:10]
        if int(far_end.rpartition(":")[2], 16) == port:
            yield f"socket:[{inode}]"


def command_of(name: str, root: Path = ROOT) -> str:
    """The command of a process, `release` included, as the Procfile of *root* has it."""
    procfile = PROCFILE if root == ROOT else read_procfile(root / "Procfile")
    if name == "release":
        assert procfile.release is not None, "ours has one"
        return procfile.release.command
    return {line.name: line.command for line in procfile.processes}[name]
