"""Embedded servers run by another process, which a test can kill."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.sources import ROOT

PROGRAM = "tests.support.hold_servers"


@dataclass(frozen=True, slots=True)
class Held:
    """What the program reported, and the program."""

    program: subprocess.Popen[str]
    database_url: str
    postgres: int  # process ids
    valkey: int
    folder: Path


@contextmanager
def held_servers(**wanted: object) -> Iterator[Held]:
    """Run tests/support/hold_servers.py as *wanted* until the block ends."""
    with subprocess.Popen(
        [sys.executable, "-m", PROGRAM, json.dumps(wanted)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None, "opened as a pipe above"
        line = program.stdout.readline()
        assert line, "it ended before the servers were there"
        report = json.loads(line)
        yield Held(
            program=program,
            database_url=report["database_url"],
            postgres=report["postgres"],
            valkey=report["valkey"],
            folder=Path(report["folder"]),
        )
