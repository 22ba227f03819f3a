"""Logging of every process: one JSON object a line, or the same facts as text for people.

A line is written as `log.info("notice_delivered", extra={"ticket_id": …})` with the standard
library's loggers: a constant event name, the facts beside it. What a line is about is always called
the same: `operator`, `ticket_id`, `event_id`, `notice_id`. A ticket's way, event by event, is told
at the level `debug` alone: a line costs as much as applying the event it tells of.
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
from models.settings.settings import Settings

LEADING_KEYS: Final = ("time", "level", "logger", "event")  # of each line; the fields follow
COUNTED_NAMES_MAX: Final = 200  # event names; further ones count as OTHER_EVENTS
OTHER_EVENTS: Final = "(others)"
_TEXT: Final = "_text"

# They write a line for every message, at up to 200 hints a second.
_CHATTY: Final = (
    *("celery", "kombu", "amqp", "redis", "httpx", "asyncio", "tornado.access"),
    "alembic",  # at every look at the schema's revision
)
_OWN_HANDLERS: Final = ("uvicorn", "uvicorn.error", "uvicorn.access")


class LogCounter(logging.Handler):
    """Counts lines of WARNING and above by (level, event); writes nothing.

    Our own lines by their event name, which is a constant; those of libraries, whose texts are not,
    all as `OTHER_EVENTS`.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._counts: Counter[tuple[str, str]] = Counter()
        self._counting = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Count one line in."""
        ours = record.name.partition(".")[0] in {"models", "worker", "producers"}
        key = (record.levelname.lower(), str(record.msg) if ours else OTHER_EVENTS)
        with self._counting:
            if key not in self._counts and len(self._counts) >= COUNTED_NAMES_MAX:
                key = (key[0], OTHER_EVENTS)
            self._counts[key] += 1

    def counts(self) -> dict[tuple[str, str], int]:
        """Give the lines so far, by (level, event)."""
        with self._counting:
            return dict(self._counts)


LOG_COUNTS: Final = LogCounter()  # one per process, as the logging it listens to


def configure(settings: Settings, stream: TextIO, *, add: Sequence[Processor] = ()) -> None:
    """Send all logs of this process to *stream*, in the format the settings name.

    *add*: processors that put further facts on a line.
    """
    as_text = settings.log_format == "text" or (settings.log_format == "auto" and stream.isatty())
    level = settings.log_level.upper()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_keep_text, structlog.stdlib.ExtraAdder(), *add, _place],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(_for_people(colours=stream.isatty()) if as_text else _for_programs()),
            ],
        )
    )
    logging.basicConfig(handlers=[handler, LOG_COUNTS], level=level, force=True)
    logging.captureWarnings(capture=True)
    chatty = level if level == "DEBUG" else max(logging.WARNING, logging.getLevelName(level))
    for name in _CHATTY:
        logging.getLogger(name).setLevel(chatty)
    for name in _OWN_HANDLERS:
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True


def _keep_text(_logger: WrappedLogger, _method: str, facts: EventDict) -> EventDict:
    """Keep the line's text aside: a fact may be called `event` too."""
    facts[_TEXT] = facts["event"]
    return facts


def _place(_logger: WrappedLogger, _method: str, facts: EventDict) -> EventDict:
    """Put the facts behind when, how bad, who and what; no fact can take the place of those."""
    record: logging.LogRecord = facts["_record"]
    facts.pop("color_message", None)  # uvicorn's second version of its own text
    fixed = {
        "time": format_timestamp(datetime.fromtimestamp(record.created, UTC), "milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": facts.pop(_TEXT),
    }
    return fixed | {name: fact for name, fact in facts.items() if name not in LEADING_KEYS}


def _for_programs() -> list[Processor]:
    return [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(default=str, ensure_ascii=False),
    ]


def _for_people(*, colours: bool) -> list[Processor]:
    return [
        _printable,
        structlog.dev.ConsoleRenderer(
            colors=colours,
            sort_keys=False,
            timestamp_key="time",
            # Its own choice would show local variables, and with them secrets.
            exception_formatter=structlog.dev.plain_traceback,
        ),
    ]


def _printable(_logger: WrappedLogger, _method: str, facts: EventDict) -> EventDict:
    """Without control characters: what comes from outside must not steer a terminal."""
    return {
        name: "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in fact)
        if isinstance(fact, str)
        else fact
        for name, fact in facts.items()
    }
