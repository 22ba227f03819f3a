"""Folders for servers under test."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - a private folder is made inside
ROOM_BYTES = 2 * 1024**3


def roomy_memory() -> Path | None:
    """Return a place in memory for a database server, if this machine has one that is fit.

    A database per test is a few hundred files each; on a slow disk creating them takes forty
    times as long. The 64 MiB that containers get by default are not enough.
    """
    if not os.access(MEMORY, os.W_OK):
        return None
    room = os.statvfs(MEMORY)
    fit = room.f_bavail * room.f_frsize >= ROOM_BYTES and not room.f_flag & os.ST_NOEXEC
    return MEMORY if fit else None


@contextmanager
def passable_folder() -> Iterator[Path]:
    """Make a folder that other users can pass through, which pytest's `tmp_path` forbids."""
    folder = Path(tempfile.mkdtemp(prefix="slipway-test-", dir=roomy_memory()))
    try:
        folder.chmod(0o711)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
