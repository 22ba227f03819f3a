"""Logging of the workers and of beat: JSON, one object a line, with the task that was running.

On a terminal (or with SLIPWAY_LOG_FORMAT=text) the same facts as text for people.
"""

import logging
import logging.config
import sys
from typing import Final, TextIO

from celery import current_task, signals
from pythonjsonlogger.json import JsonFormatter

from models.settings import Settings, read_settings

_TEXT: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
# They write a line for every message, at up to 200 hints a second.
_CHATTY: Final = ("celery", "kombu", "amqp", "redis", "httpx", "asyncio", "tornado.access")
_KNOWN: Final = frozenset(logging.makeLogRecord({}).__dict__) | {
    "asctime", "message", "taskName", "task_id", "task_name", "color_message",
}  # fmt: skip


class CurrentTask(logging.Filter):
    """Adds the task that is running to the record; drops nothing."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Set `task_id` and `task_name` where a task is running."""
        if current_task and current_task.request.id:
            record.task_id = current_task.request.id
            record.task_name = current_task.name
        return True


class TextFormatter(logging.Formatter):
    """The event's name, then its facts as `name=value`."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """Put the facts behind the message."""
        facts = {key: fact for key, fact in record.__dict__.items() if key not in _KNOWN}
        return " ".join(
            [super().formatMessage(record), *(f"{name}={fact}" for name, fact in facts.items())]
        )


def connect() -> None:
    """Have Celery leave logging to us: a receiver of `setup_logging` switches its own off."""
    signals.setup_logging.connect(_set_up, weak=False)


def configure(settings: Settings, stream: TextIO) -> None:
    """Send all logs of this process to *stream*, in the format the settings name."""
    as_text = settings.log_format == "text" or (settings.log_format == "auto" and stream.isatty())
    level = settings.log_level.upper()
    handler = logging.StreamHandler(stream)
    handler.addFilter(CurrentTask())
    handler.setFormatter(TextFormatter(_TEXT) if as_text else _json())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(capture=True)
    chatty = level if level == "DEBUG" else max(logging.WARNING, logging.getLevelName(level))
    for name in _CHATTY:
        logging.getLogger(name).setLevel(chatty)


def _set_up(**_newer: object) -> None:
    configure(read_settings(), sys.stderr)


def _json() -> JsonFormatter:
    return JsonFormatter(
        ["levelname", "name", "message"],
        rename_fields={"levelname": "level", "name": "logger", "message": "event"},
        timestamp="time",
    )
