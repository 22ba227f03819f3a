"""What fails again and again is logged when it begins, when its reason changes, and at its end."""

import logging

import pytest
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ExecAbortError, ReadOnlyError, ResponseError

from worker.process.outage import Outage, reason_of

LOG = logging.getLogger("worker.somewhere")


class Watch:
    """A clock that stands still until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def outage(watch: Watch) -> Outage:
    return Outage(LOG, "redis_refuses", "redis_takes", monotonic=watch, server="broker")


def facts(record: logging.LogRecord) -> dict[str, object]:
    names = ("error", "failures", "seconds", "server")
    return {name: getattr(record, name) for name in names if hasattr(record, name)}


def test_it_is_logged_when_it_changes_only(outage, watch, caplog):
    with caplog.at_level(logging.INFO):
        for _ in range(100):
            outage.failed("NOREPLICAS")
        outage.failed("READONLY")
        watch.now += 61.26
        outage.over()

    assert [(record.message, facts(record)) for record in caplog.records] == [
        ("redis_refuses", {"error": "NOREPLICAS", "server": "broker"}),
        ("redis_refuses", {"error": "READONLY", "failures": 100, "server": "broker"}),
        ("redis_takes", {"failures": 101, "seconds": 61.3, "server": "broker"}),
    ]


def test_the_next_one_with_the_same_reason_is_logged_again(outage, caplog):
    for _ in range(2):
        outage.failed("NOREPLICAS")
        outage.over()

    assert caplog.messages == ["redis_refuses"] * 2


def test_nothing_is_over_where_nothing_failed(outage, caplog):
    with caplog.at_level(logging.DEBUG):
        outage.over()

    assert caplog.messages == []


def wrapped(cause: Exception) -> Exception:
    """As kombu and Celery hand it on."""
    error = OperationalError("a URL, and what else there was")
    error.__cause__ = cause
    return error


def after(error: Exception, before: Exception) -> Exception:
    """As redis-py raises it: while another error is being handled."""
    error.__context__ = before
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ReadOnlyError("You can't write against a read only replica."), "ReadOnlyError"),
        (ResponseError("NOREPLICAS Not enough good replicas"), "ResponseError NOREPLICAS"),
        (wrapped(ResponseError("MISCONF Redis is configured")), "ResponseError MISCONF"),
        (
            ResponseError("Command # 1 (LLEN x) of pipeline caused error: WRONGTYPE Operation"),
            "ResponseError WRONGTYPE",
        ),
        (
            after(ReadOnlyError("You can't write"), ExecAbortError("Transaction discarded")),
            "ReadOnlyError",
        ),
        (RedisConnectionError("Error 111 connecting to host:6379."), "ConnectionError"),
        (wrapped(TimeoutError("secret")), "OperationalError"),
    ],
)
def test_a_reason_is_a_type_and_a_code_and_no_other_text(error, reason):
    assert reason_of(error) == reason
