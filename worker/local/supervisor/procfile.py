"""Reads a Procfile: one `name: command` a line, `#` starts a comment line."""

import re
from dataclasses import dataclass
from pathlib import Path

RELEASE = "release"  # runs to its end before any other process starts
_LINE = re.compile(r"^([A-Za-z0-9_-]{1,32}):\s*(\S.*)$")


class ProcfileError(ValueError):
    """A line of the Procfile cannot be read; the message names the file and the line."""


@dataclass(frozen=True, slots=True)
class ProcessLine:
    """One process: its name on the screen, and the command as the shell reads it."""

    name: str
    command: str


@dataclass(frozen=True, slots=True)
class Procfile:
    """What to run: *release* first and to its end, then *processes* side by side."""

    release: ProcessLine | None
    processes: tuple[ProcessLine, ...]


def read_procfile(path: Path) -> Procfile:
    """Read the Procfile at *path*. Raises ProcfileError if it is missing or cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as refusal:
        message = f"{path}: {refusal.strerror}; start slipway from the folder that holds Procfile"
        raise ProcfileError(message) from refusal
    return parse_procfile(text, source=str(path))


def parse_procfile(text: str, *, source: str) -> Procfile:
    """Return the processes in *text*, in its order. Raises ProcfileError, which names *source*."""
    lines: dict[str, ProcessLine] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.match(stripped)
        if match is None:
            message = (
                f"{source}, line {number}: expected `name: command`"
                f" (a name is letters, digits, - and _), found {stripped[:80]!r}"
            )
            raise ProcfileError(message)
        name, command = match.groups()
        if name in lines:
            message = f"{source}, line {number}: a process called {name!r} appears above already"
            raise ProcfileError(message)
        lines[name] = ProcessLine(name, command)
    release = lines.pop(RELEASE, None)
    if not lines:
        message = f"{source}: no process besides {RELEASE!r}, so there is nothing to run"
        raise ProcfileError(message)
    return Procfile(release, tuple(lines.values()))
