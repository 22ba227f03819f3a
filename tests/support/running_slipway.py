"""`slipway up` as a process, and commands in a second terminal."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.support.fork_server import Popen, run
from tests.support.wait import eventually

ROOT = Path(__file__).parents[2]
SLIPWAY = f"{sys.executable} -c 'from worker.cli import main; main()'"


@dataclass(frozen=True, slots=True)
class RunningSlipway:
    """All processes, ready, with their data in *data*."""

    process: "subprocess.Popen[bytes]"
    folder: Path
    data: Path
    screen: Path

    def command(self, line: str) -> str:
        """Run `slipway LINE` in a second terminal; what it prints."""
        done = self._run(line)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def output_of(self, line: str) -> str:
        """Run it, and return what it prints whatever its exit code."""
        return self._run(line).stdout

    def _run(self, line: str) -> "subprocess.CompletedProcess[str]":
        command = ["/bin/sh", "-c", f". {self.data}/environment && exec {SLIPWAY} {line}"]
        return run(command, env=bare_environment(self.folder))

    def redis(self) -> "redis.Redis":
        """A client of its Valkey."""
        return redis.Redis.from_url(self.redis_url())

    def redis_url(self) -> str:
        """The address of its Valkey, password included."""
        line = next(
            line
            for line in (self.data / "environment").read_text().splitlines()
            if "SLIPWAY_REDIS_URL=" in line
        )
        return line.partition("=")[2].strip("'\"")

    def database_url(self) -> str:
        """The address of its PostgreSQL for psycopg, password included."""
        words = (self.data / "environment").read_text()
        (url,) = re.findall(r"SLIPWAY_DATABASE_URL=(\S+)", words)
        return str(url).strip("'\"").replace("+psycopg", "")

    def secret_key(self) -> str:
        """The key that encrypts the partners' secrets."""
        words = (self.data / "environment").read_text()
        (key,) = re.findall(r"SLIPWAY_SECRET_KEY=(\S+)", words)
        return str(key).strip("'\"")

    def gateway_url(self) -> str:
        """The address of its gateway, as the line says that all are ready."""
        match = re.search(r"slipway \| ready: gateway (http://[^,\s]+)", self.screen.read_text())
        assert match, "it is not ready"
        return match[1]


def bare_environment(folder: Path, **settings: str) -> dict[str, str]:
    """An environment with no settings but free ports and *settings*, `log_level="debug"`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SLIPWAY_")}
    ports = {f"SLIPWAY_{name}_PORT": "0" for name in ("GATEWAY", "FLOWER", "CONSOLE")}
    given = {f"SLIPWAY_{name.upper()}": value for name, value in settings.items()}
    return {**clean, **ports, **given, "TMPDIR": str(folder)}


@contextmanager
def running_slipway(
    folder: Path, start: "type[subprocess.Popen[bytes]]" = Popen, /, **settings: str
) -> Iterator[RunningSlipway]:
    """`slipway up --data` in *folder*, from nothing installed; killed if it is still there.

    *start*: `subprocess.Popen` for a test that looks at the start itself (see
    `tests.support.fork_server`).
    """
    data, screen = folder / "data", folder / "screen"
    with (
        screen.open("wb") as out,
        start(
            ["/bin/sh", "-c", f"exec {SLIPWAY} up --data {data}"],
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=bare_environment(folder, **settings),
        ) as process,
    ):
        try:
            eventually(lambda: "slipway | ready: " in screen.read_text())
            yield RunningSlipway(process, folder, data, screen)
        finally:
            process.terminate()
