"""Logging of every process: one JSON object per line, or the same fields as text for people.

A line is written as `log.info("notice_delivered", extra={"ticket_id": …})` with the standard
library's loggers: a constant event name, with fields beside it. The subject of a line always has
the same name: `operator`, `ticket_id`, `event_id`, `notice_id`. The progress of a single ticket is
logged at the level `debug` only: a line costs as much as applying the event that it reports.
"""

import logging
import threading
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from models.platform.timestamps import format_timestamp
from models.settings.process_settings import ProcessSettings

LEADING_KEYS: Final = ("time", "level", "logger", "event")  # of each line; the fields follow
COUNTED_NAMES_MAX: Final = 200  # event names; further ones count as OTHER_EVENTS
OTHER_EVENTS: Final = "(others)"
_TEXT: Final = "_text"

# They write a line for every message, at up to 200 wakeups per second.
_NOISY: Final = (
    *("celery", "kombu", "amqp", "redis", "httpx", "asyncio", "tornado.access"),
    "alembic",  # a line each time the schema's revision is read
)
_OWN_HANDLERS: Final = ("uvicorn", "uvicorn.error", "uvicorn.access")


class LogCounter(logging.Handler):
    """Counts lines of WARNING and above by (level, event); writes nothing.

    Our own lines count by their event name, which is a constant; all lines of libraries, whose
    texts are not constants, count as `OTHER_EVENTS`.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._counts: Counter[tuple[str, str]] = Counter()
        self._counting = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Count one line."""
        ours = record.name.partition(".")[0] in {"models", "worker", "producers"}
        key = (record.levelname.lower(), str(record.msg) if ours else OTHER_EVENTS)
        with self._counting:
            if key not in self._counts and len(self._counts) >= COUNTED_NAMES_MAX:
                key = (key[0], OTHER_EVENTS)
            self._counts[key] += 1

    def counts(self) -> dict[tuple[str, str], int]:
        """Return the number of lines so far, by (level, event)."""
        with self._counting:
            return dict(self._counts)


LOG_COUNTS: Final = LogCounter()  # one per process, as the logging it listens to


def configure(settings: ProcessSettings, stream: TextIO, *, add: Sequence[Processor] = ()) -> None:
    """Send all logs of this process to *stream*, in the format the settings name.

    *add* are processors that add further fields to a line.
    """
    as_text = settings.log_format == "text" or (settings.log_format == "auto" and stream.isatty())
    level = settings.log_level.upper()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_keep_text, structlog.stdlib.ExtraAdder(), *add, _order],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(_text_renderers(colours=stream.isatty()) if as_text else _json_renderers()),
            ],
        )
    )
    logging.basicConfig(handlers=[handler, LOG_COUNTS], level=level, force=True)
    logging.captureWarnings(capture=True)
    noisy_level = level if level == "DEBUG" else max(logging.WARNING, logging.getLevelName(level))
    for name in _NOISY:
        logging.getLogger(name).setLevel(noisy_level)
    for name in _OWN_HANDLERS:
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True


def _keep_text(_logger: WrappedLogger, _method: str, fields: EventDict) -> EventDict:
    """Keep the line's text apart: a field may be called `event` too."""
    fields[_TEXT] = fields["event"]
    return fields


def _order(_logger: WrappedLogger, _method: str, fields: EventDict) -> EventDict:
    """Order the keys: time, level, logger, event, then the fields, which cannot replace those."""
    record: logging.LogRecord = fields["_record"]
    fields.pop("color_message", None)  # uvicorn's second version of its own text
    fixed = {
        "time": format_timestamp(datetime.fromtimestamp(record.created, UTC), "milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": fields.pop(_TEXT),
    }
    return fixed | {name: field for name, field in fields.items() if name not in LEADING_KEYS}


def _json_renderers() -> list[Processor]:
    return [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(default=str, ensure_ascii=False),
    ]


def _text_renderers(*, colours: bool) -> list[Processor]:
    return [
        _printable,
        structlog.dev.ConsoleRenderer(
            colors=colours,
            sort_keys=False,
            timestamp_key="time",
            # The default would show local variables, and with them secrets.
            exception_formatter=structlog.dev.plain_traceback,
        ),
    ]


def _printable(_logger: WrappedLogger, _method: str, fields: EventDict) -> EventDict:
    """Replace control characters: input from outside must not control a terminal."""
    return {
        name: "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in field)
        if isinstance(field, str)
        else field
        for name, field in fields.items()
    }
