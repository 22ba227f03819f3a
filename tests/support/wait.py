"""Waiting for something that other processes do: on a condition, with a deadline."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

PATIENCE = timedelta(seconds=120)  # only a test that fails waits it out; a busy machine needs it
# Asking takes processor time from what is waited for: it is done less often the longer it takes.
POLL_SECONDS_MIN, POLL_SECONDS_MAX = 0.01, 0.05
POLL_SHARE = 0.05  # of the time waited so far

Found = TypeVar("Found")


def eventually(condition: Callable[[], Found], *, within: timedelta = PATIENCE) -> Found:
    """Poll *condition* until it returns something true, and return that.

    Fails the test after *within*, naming the condition and what it returned last. When it raises
    AssertionError that counts as "not yet": it may hold plain asserts, and then returns True.
    """
    began = time.monotonic()
    while True:
        try:
            value = condition()
            if value:
                return value
            last = f"last it returned {value!r}"
        except AssertionError as not_yet:
            last = str(not_yet)
        waited = time.monotonic() - began
        if waited > within.total_seconds():
            name = getattr(condition, "__name__", repr(condition))
            raise AssertionError(f"{name} did not come true within {within}: {last}")
        time.sleep(min(max(waited * POLL_SHARE, POLL_SECONDS_MIN), POLL_SECONDS_MAX))


def pause(seconds: float) -> None:
    """Let *seconds* pass: while a load or a fault lasts, or between two polls of a trial.

    No test proves with it that something does not happen: it waits for a condition instead.
    """
    time.sleep(max(0.0, seconds))
