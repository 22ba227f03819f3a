"""Runs checks that wait for a name server or for a partner beside each other, within a limit."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from worker.doctor.finding import Finding, unknown

ALL_MAX: Final = timedelta(seconds=10)  # for all of them; a resolver may hang for half a minute
_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class PartCheck:
    """A check that may hang, and the part that it is about."""

    part: str
    run: Callable[[], Finding]


def run_at_once(checks: Sequence[PartCheck], *, within: timedelta = ALL_MAX) -> list[Finding]:
    """Return a finding for each check; one that did not end *within* that time is unknown."""
    pool = ThreadPoolExecutor(max_workers=_AT_ONCE)
    try:
        running = [pool.submit(check.run) for check in checks]
        done, _ = wait(running, timeout=within.total_seconds())
        return [
            ran.result()
            if ran in done
            else unknown(check.part, f"not checked within {within.total_seconds():g} s")
            for ran, check in zip(running, checks, strict=True)
        ]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
