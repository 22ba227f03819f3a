"""Terminals that lines are typed into, and one screen for all of them."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

# Each name that is read is a file whose lines are typed; with -e a line that fails ends it all.
LINES = """
exec 3<keys 4>bell
while read -r typed <&3; do . "$typed"; echo done >&4; done
"""


@dataclass(slots=True)
class Workspace:
    """A folder, with as many terminals as wanted."""

    home: Path
    environment: Mapping[str, str] = field(repr=False)
    shell: tuple[str, ...]

    @property
    def screen(self) -> str:
        """All that any terminal has shown so far."""
        file = self.home / "screen"
        return file.read_text(errors="replace") if file.exists() else ""

    @contextmanager
    def occupied(self, block: str) -> Iterator[None]:
        """A terminal in which *block* stays at work until Ctrl-C, and then ends with 0."""
        with self._started(f"trap : INT; {block}") as process:  # so that its code is the program's
            try:
                yield
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGINT)
                code = process.wait()
        assert code == 0, f"{block}\nended with {code}:\n{self.screen}"

    @contextmanager
    def terminal(self) -> "Iterator[Terminal]":
        """A terminal for one block after the other; it remembers variables and its folder."""
        for name in ("keys", "bell"):
            (self.home / name).unlink(missing_ok=True)
            os.mkfifo(self.home / name)
        with self._started(LINES) as process:
            try:
                with (self.home / "keys").open("w") as keys, (self.home / "bell").open() as bell:
                    yield Terminal(self, keys, bell)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)

    @contextmanager
    def _started(self, script: str) -> "Iterator[subprocess.Popen[bytes]]":
        with (
            (self.home / "screen").open("ab") as screen,
            subprocess.Popen(
                [*self.shell, "-c", script],
                cwd=self.home,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=screen,
                stderr=screen,
                start_new_session=True,
            ) as process,
        ):
            yield process


@dataclass(slots=True)
class Terminal:
    """One that waits for what is typed."""

    workspace: Workspace
    keys: IO[str]
    bell: IO[str]

    def type(self, block: str) -> None:
        """Run *block* to its end. A line that fails is an AssertionError with the screen."""
        typed = self.workspace.home / "typed"
        typed.write_text(block)
        self.keys.write(f"{typed}\n")
        self.keys.flush()
        assert self.bell.readline(), (
            f"a line failed of\n{block}\nThe screen:\n{self.workspace.screen}"
        )
