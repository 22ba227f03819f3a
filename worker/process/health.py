"""File probes: what a supervisor can check without the broker.

`<folder>/<process>.alive` is touched every 2 s by a worker's event loop (not while the broker is
unavailable), by each round of the intake as `<process>.stream.alive`, and by each tick of beat.
`<process>.ready` exists while a worker accepts work. So: alive if younger than 10 min; ready if
`ready` exists and `alive` is younger than 30 s. `<process>.metrics` holds the address of its
metrics, whose port may be any free port.

`celery inspect ping` is not used: it costs seconds of CPU and restarts healthy workers during an
outage of the broker.
"""

import logging
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

_PRIVATE: Final = 0o700


class Probes:
    """The probe files of one process. A failure to write one is logged, not raised."""

    def __init__(self, folder: Path, name: str) -> None:
        """Set the files' names; nothing is written yet."""
        self._alive = folder / f"{name}.alive"
        self._ready = folder / f"{name}.ready"
        self._metrics = folder / f"{name}.metrics"

    def alive(self) -> None:
        """Mark this process as alive now."""
        self._touch(self._alive)

    def ready(self) -> None:
        """Mark this process as accepting work."""
        self._touch(self._ready)

    def not_ready(self) -> None:
        """Mark this process as no longer accepting work."""
        self._remove(self._ready)

    def metrics_at(self, url: str) -> None:
        """Record where this process' metrics are: the port may be any free port."""
        try:
            _make_private(self._metrics.parent)
            self._metrics.write_text(url + "\n", encoding="utf-8")
        except OSError as error:
            _not_written(self._metrics, error)

    def no_metrics(self) -> None:
        """Record that the metrics are no longer served."""
        self._remove(self._metrics)

    @staticmethod
    def _touch(file: Path) -> None:
        try:
            _make_private(file.parent)
            file.touch()
        except OSError as error:
            _not_written(file, error)

    @staticmethod
    def _remove(file: Path) -> None:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            log.warning("probe_not_removed", extra={"file": str(file), "error": str(error)})


def folder() -> Path:
    """Return the private folder of the probes: below TMPDIR, one per user."""
    return Path(tempfile.gettempdir()) / f"slipway-{os.getuid()}"


def probes(name: str) -> Probes:
    """Return the probes of the process called *name* (the worker's node name, or `beat`)."""
    return Probes(folder(), name.replace("/", "_"))


def _not_written(file: Path, error: OSError) -> None:
    log.warning("probe_not_written", extra={"file": str(file), "error": str(error)})


def _make_private(folder: Path) -> None:
    """Create the folder for this user alone; refuse one that another user created."""
    folder.mkdir(mode=_PRIVATE, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user; set TMPDIR to a private folder")
