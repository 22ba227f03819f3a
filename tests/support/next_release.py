"""Migrating to a schema that is newer than this code: the samples are the next release's revisions.

    SLIPWAY_DATABASE_URL=… python -m tests.support.next_release

does it in a process of its own, which a test can kill; it prints what `slipway migrate` would.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from sqlalchemy import Engine

from models.migrations.revisions import VERSIONS, current_revision
from models.migrations.runner import upgrade
from tests.support.sources import ROOT

SAMPLES = ROOT / "tests" / "samples" / "next_release"
NEXT_REVISION = "9006"

migrate_further = partial(upgrade, versions=(VERSIONS, SAMPLES))
"""`upgrade`, as the next release has it."""


def at_revision(engine: Engine) -> str | None:
    """The revision a database is at."""
    with engine.connect() as connection:
        return current_revision(connection)


@contextmanager
def migration(database_url: str, *, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run this module as a program; at the end it is killed if it is still there."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.next_release"],
            cwd=ROOT,
            env={**os.environ, "SLIPWAY_DATABASE_URL": database_url},
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    migrate_further(os.environ["SLIPWAY_DATABASE_URL"], report=partial(print, flush=True))
