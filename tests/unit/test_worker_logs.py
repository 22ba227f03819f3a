"""What the workers log: one JSON object a line, a fixed name and the facts beside it."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from celery import Celery

from tests.support.plain_settings import plain_settings
from worker import logs


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
    logs.configure(plain_settings(log_format=log_format, log_level=level), stream)
    return stream


def test_a_line_is_a_json_object_with_the_events_name_and_its_facts():
    stream = configured("auto")  # not a terminal

    logging.getLogger("worker.x").info("notice_delivered", extra={"ticket_id": "7"})

    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "INFO",
        "logger": "worker.x",
        "event": "notice_delivered",
        "ticket_id": "7",
    }


def test_a_line_written_inside_a_task_names_it():
    stream = configured("json")
    app = Celery("test", set_as_current=False)
    log = logging.getLogger("worker.x")

    @app.task(name="sweep")  # type: ignore[untyped-decorator]  # Celery is published without types
    def sweep() -> None:
        log.info("swept")

    sweep.apply(task_id="5d1f")

    line = next(json.loads(line) for line in stream.getvalue().splitlines() if "swept" in line)
    assert (line["task_id"], line["task_name"]) == ("5d1f", "sweep")
    app.close()


def test_for_people_the_facts_follow_the_name():
    stream = configured("text")

    logging.getLogger("worker.x").warning("hint_not_sent", extra={"error": "TimeoutError"})

    assert stream.getvalue().endswith("WARNING worker.x: hint_not_sent error=TimeoutError\n")


@pytest.mark.parametrize(("level", "shown"), [("info", False), ("debug", True)])
def test_libraries_are_heard_at_their_every_message_only_when_debugging(level, shown):
    stream = configured("json", level)

    logging.getLogger("celery.worker.strategy").info("Task deliver[…] received")

    assert bool(stream.getvalue()) is shown


def test_an_exception_keeps_its_traceback_on_the_same_line():
    stream = configured("json")

    try:
        int("no number")
    except ValueError:
        logging.getLogger("worker.x").exception("intake_failed")

    (line,) = stream.getvalue().splitlines()
    assert "ValueError: invalid literal" in json.loads(line)["exc_info"]
