#!/usr/bin/env python
"""Rehearses the image without an engine: `python -m deploy.image.rehearse`.

Performs the steps of deploy/Dockerfile in a clean folder with a virtual environment of its own,
makes all of it read-only, and starts every process of the Procfile from it: as the image's user if
root runs this. Each must become ready, stay alive, and exit with 0 on SIGTERM.

The servers are those of SLIPWAY_DATABASE_URL and SLIPWAY_REDIS_URL, otherwise embedded ones. Exit
code 0: success; 1: a step or a process failed, and the output says which; 75: nothing could be
installed, because there is no network.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from cryptography.fernet import Fernet

from deploy.image.building import Build, Image, NoNetwork, StepFailed, running_environment
from deploy.image.dockerfile import read_steps
from worker.local.servers import embedded_servers
from worker.local.servers.ports import free_port
from worker.local.supervisor.procfile import read_procfile

CHECKOUT: Final = Path(__file__).parents[2]
READY_SECONDS_MAX: Final = 60
END_SECONDS_MAX: Final = 30
POLL_SECONDS: Final = 0.3
NO_NETWORK: Final = 75
HTTP: Final = ("GATEWAY", "CONSOLE", "FLOWER")


def main() -> int:
    """Build, run and report; leave nothing behind."""
    try:
        with _passable_folder() as folder, _servers() as servers:
            image = _built(folder / "image")
            _run_all(image, folder / "run", servers)
    except NoNetwork as failure:
        say(str(failure))
        return NO_NETWORK
    except StepFailed as failure:
        say(str(failure))
        return 1
    say("every process ran from the image's steps")
    return 0


def say(line: str) -> None:
    """Print one line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _built(root: Path) -> Image:
    root.mkdir()
    image = Build(CHECKOUT, root, say).image(read_steps(CHECKOUT / "deploy/Dockerfile"))
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o555)
    return image


class Container:
    """One process from the image, with its own temporary folder as in a pod."""

    def __init__(self, image: Image, process: str, folder: Path, settings: dict[str, str]) -> None:
        """Start *process* as the image's entry point does."""
        self.process = process
        self._image = image
        self._user = _user_for(image)
        temporary = folder / process
        temporary.mkdir(parents=True)
        if self._user is not None:
            os.chown(temporary, self._user, self._user)
        self._log = folder / f"{process}.log"
        self._environment = {
            **running_environment(image),
            **settings,
            "TMPDIR": str(temporary),
        }
        with self._log.open("wb") as output:
            self._running = self._start([*_without_tini(image.entrypoint), process], output)

    def passes(self, question: str) -> bool:
        """Run `probe alive` or `probe ready`."""
        probe = self._start(["probe", question, self.process], subprocess.DEVNULL)
        return probe.wait() == 0

    def wait_until_ready(self) -> None:
        """Raise StepFailed if it exits, or is not ready and alive in time."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not (self.passes("ready") and self.passes("alive")):
            if self._running.poll() is not None:
                raise StepFailed(f"{self.process} exited at once:\n{self.last_lines()}")
            if time.monotonic() > deadline:
                raise StepFailed(f"{self.process} is not ready:\n{self.last_lines()}")
            time.sleep(POLL_SECONDS)  # noqa: TID251 - between two polls, with a deadline

    def terminate(self) -> None:
        """Send SIGTERM, as a container engine does."""
        self._running.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> None:
        """Raise StepFailed unless it exits with 0."""
        try:
            code = self._running.wait(seconds)
        except subprocess.TimeoutExpired:
            raise StepFailed(f"{self.process} does not exit:\n{self.last_lines()}") from None
        # The entry point's `-e 143`.
        if code not in (0, -signal.SIGTERM if "143" in self._image.entrypoint else 0):
            raise StepFailed(f"{self.process} exited with {code}:\n{self.last_lines()}")

    def kill(self) -> None:
        """Kill it if it is still running."""
        if self._running.poll() is None:
            self._running.kill()
        self._running.wait()

    def last_lines(self) -> str:
        """Return the end of its output."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-3000:]

    def _start(self, command: list[str], output: IO[bytes] | int) -> "subprocess.Popen[bytes]":
        """Start *command* in the container's environment."""
        return subprocess.Popen(
            command,
            cwd=self._image.inside(""),
            env=self._environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            user=self._user,
            group=self._user,
            extra_groups=None if self._user is None else [],
        )


def _run_all(image: Image, folder: Path, settings: dict[str, str]) -> None:
    folder.mkdir(mode=0o755)
    procfile = read_procfile(image.inside("Procfile"))
    assert procfile.release is not None, "ours has one"
    release = Container(image, procfile.release.name, folder, settings)
    release.wait(READY_SECONDS_MAX)
    say("release: exited with 0")
    containers: list[Container] = []
    try:
        containers.extend(
            Container(image, line.name, folder, settings) for line in procfile.processes
        )
        for container in containers:
            container.wait_until_ready()
            say(f"{container.process}: ready, alive")
        for container in containers:
            container.terminate()
        for container in containers:
            container.wait(END_SECONDS_MAX)
            say(f"{container.process}: exited with 0")
    finally:
        for container in containers:
            container.kill()


def _without_tini(entrypoint: list[str]) -> list[str]:
    """Leave out tini, which a Debian package brings, where it is not installed."""
    if shutil.which(entrypoint[0]):
        return entrypoint
    return entrypoint[entrypoint.index("--") + 1 :]


def _user_for(image: Image) -> int | None:
    """Return the image's user if this is root and that user can reach the Python; else None."""
    python = image.inside("/usr/local/bin/python").resolve()
    reachable = all(folder.stat().st_mode & 0o001 for folder in python.parents)
    return image.user if os.geteuid() == 0 and reachable else None


@contextmanager
def _servers() -> Iterator[dict[str, str]]:
    """Start servers unless the environment names them. Yields the settings of the processes."""
    variables = {name: value for name, value in os.environ.items() if name.startswith("SLIPWAY_")}
    ports = {f"SLIPWAY_{name}_PORT": str(free_port()) for name in HTTP}
    settings = {**ports, "SLIPWAY_SECRET_KEY": Fernet.generate_key().decode(), **variables}
    settings["SLIPWAY_BIND_ADDRESS"] = "127.0.0.1"  # not on all interfaces of this machine
    if "SLIPWAY_DATABASE_URL" in variables:
        yield settings
        return
    with embedded_servers(durable=False) as servers:
        yield settings | {
            "SLIPWAY_DATABASE_URL": servers.database_url,
            "SLIPWAY_REDIS_URL": servers.redis_url,
        }


@contextmanager
def _passable_folder() -> Iterator[Path]:
    """Make a folder that the image's user can pass through."""
    folder = Path(tempfile.mkdtemp(prefix="slipway-image-"))
    try:
        folder.chmod(0o711)
        yield folder
    finally:
        for path in (folder, *folder.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o700)
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
