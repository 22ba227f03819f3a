"""Which settings a process needs, by the command that Celery was given."""

from collections.abc import Sequence
from typing import Final

from models.settings.process_settings import ProcessSettings
from models.settings.settings import read_process_settings, read_settings, read_worker_settings
from worker.process.queues import INTAKE_QUEUE, SWEEP_QUEUE

_WORKER: Final = "worker"
_WITHOUT_KEY: Final = {INTAKE_QUEUE, SWEEP_QUEUE}


def read_settings_for(arguments: Sequence[str]) -> ProcessSettings:
    """Read what the process of `celery` *arguments* needs, all of it at once.

    A worker needs the database, and one that delivers the key too; beat and Flower neither. Raises
    InvalidSettings, which lists all problems.
    """
    if _WORKER not in arguments:
        return read_process_settings()
    queues = _queues(arguments)
    return read_worker_settings() if queues and queues <= _WITHOUT_KEY else read_settings()


def _queues(arguments: Sequence[str]) -> set[str]:
    """Return what `-Q` or `--queues` names; nothing means all."""
    names = ""
    for option, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if option in ("-Q", "--queues"):
            names = following
        elif option.startswith("--queues="):
            names = option.partition("=")[2]
        elif option.startswith("-Q"):
            names = option.removeprefix("-Q")
    return {name.strip() for name in names.split(",") if name.strip()}
