"""Logging of the workers and of beat: as `models.telemetry.logs`, with the running task."""

import sys

from celery import current_task, signals
from structlog.typing import EventDict, WrappedLogger

from models.settings.settings import read_settings
from models.telemetry import logs


def connect() -> None:
    """Have Celery leave logging to us: a receiver of `setup_logging` switches its own off."""
    signals.setup_logging.connect(set_up, weak=False)


def set_up(**_newer: object) -> None:
    """Log to stderr from now on, as the settings of this process say."""
    logs.configure(read_settings(), sys.stderr, add=[with_task])


def with_task(_logger: WrappedLogger, _method: str, facts: EventDict) -> EventDict:
    """Name the task in which a line is written: `task_id` and `task_name`."""
    if current_task and current_task.request.id:
        facts["task_id"] = current_task.request.id
        facts["task_name"] = current_task.name
    return facts
