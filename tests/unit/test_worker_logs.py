"""What the processes log: one JSON object a line, a fixed name and the facts beside it."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from celery import Celery

from models.telemetry import logs
from tests.support.plain_settings import plain_settings
from worker.celery.signals import with_task


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def configured(log_format: str, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    settings = plain_settings(log_format=log_format, log_level=level)
    logs.configure(settings, stream, add=[with_task])
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_a_json_object_with_the_events_name_and_its_facts():
    stream = configured("auto")  # not a terminal

    logging.getLogger("worker.x").info("notice_delivered", extra={"ticket_id": "7"})

    (line,) = lines(stream)
    assert datetime.fromisoformat(line.pop("time")).utcoffset() is not None
    assert line == {
        "level": "info",
        "logger": "worker.x",
        "event": "notice_delivered",
        "ticket_id": "7",
    }


def test_no_fact_takes_the_place_of_what_every_line_has():
    stream = configured("json")

    logging.getLogger("worker.x").info("told", extra={"event": "win", "level": "9", "time": 1})

    (line,) = lines(stream)
    assert (line["event"], line["level"]) == ("told", "info")


def test_a_line_written_inside_a_task_names_it():
    stream = configured("json")
    app = Celery("test", set_as_current=False)
    log = logging.getLogger("worker.x")

    @app.task(name="sweep")  # type: ignore[untyped-decorator]  # Celery is published without types
    def sweep() -> None:
        log.info("swept")

    sweep.apply(task_id="5d1f")

    line = next(line for line in lines(stream) if line["event"] == "swept")
    assert (line["task_id"], line["task_name"]) == ("5d1f", "sweep")
    app.close()


def test_for_people_the_facts_follow_the_name():
    stream = configured("text")

    logging.getLogger("worker.x").warning("wakeup_not_sent", extra={"error": "TimeoutError"})

    parts = stream.getvalue().split()
    assert parts[1:] == ["[warning", "]", "wakeup_not_sent", "[worker.x]", "error=TimeoutError"]


def test_what_comes_from_outside_cannot_steer_a_terminal():
    stream = configured("text")

    logging.getLogger("worker.x").info("refused", extra={"ticket_id": "7\x1b[2J"})

    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize(("level", "shown"), [("info", False), ("debug", True)])
def test_every_message_of_a_library_is_logged_only_when_debugging(level, shown):
    stream = configured("json", level)

    logging.getLogger("celery.worker.strategy").info("Task deliver[…] received")

    assert bool(stream.getvalue()) is shown


def test_uvicorn_writes_through_us_and_its_arguments_are_filled_in():
    logging.getLogger("uvicorn.error").addHandler(logging.StreamHandler(io.StringIO()))
    stream = configured("json")

    logging.getLogger("uvicorn.error").warning(
        "stopped after %d s", 3, extra={"color_message": "\x1b[1mstopped"}
    )

    (line,) = lines(stream)
    assert line["event"] == "stopped after 3 s"
    assert "color_message" not in line


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_an_exception_keeps_its_traceback_and_shows_no_local_variable(log_format):
    stream = configured(log_format)
    secret = "12345ABCDE"

    try:
        int("no number" * bool(secret))
    except ValueError:
        logging.getLogger("worker.x").exception("intake_failed")

    assert "ValueError: invalid literal" in stream.getvalue()
    assert "12345ABCDE" not in stream.getvalue()
    assert log_format == "text" or len(lines(stream)) == 1


def test_warnings_are_tallied_by_our_own_names_and_those_of_libraries_together():
    configured("json")
    before = logs.LOG_COUNTS.counts()

    logging.getLogger("worker.x").error("tallied_once")
    logging.getLogger("worker.x").info("not_tallied")
    logging.getLogger("kombu.x").warning("a text of %s", "theirs")

    gained = {
        key: count - before.get(key, 0)
        for key, count in logs.LOG_COUNTS.counts().items()
        if count != before.get(key, 0)
    }
    assert gained == {("error", "tallied_once"): 1, ("warning", logs.OTHER_EVENTS): 1}


def test_names_beyond_the_limit_are_tallied_as_others():
    tally = logs.LogCounter()
    for number in range(logs.COUNTED_NAMES_MAX + 5):
        record = logging.LogRecord("worker.x", logging.ERROR, "", 0, f"e{number}", None, None)
        tally.handle(record)

    assert len(tally.counts()) == logs.COUNTED_NAMES_MAX + 1
    assert tally.counts()["error", logs.OTHER_EVENTS] == 5
