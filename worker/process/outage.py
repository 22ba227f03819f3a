"""An outage in the log: one line when it begins, when its reason changes, and when it is over."""

import logging
import re
import threading
import time
from collections.abc import Callable
from typing import Final

from redis.exceptions import ExecAbortError, RedisError

from models.settings.redis_tls import tls_failure
from worker.process.cluster_client import UnusableRedis

# The start of an error reply of Redis; redis-py may put the command of a pipeline before it.
_CODE: Final = re.compile(r"(?:Command # \d+ .*caused error: )?([A-Z]{3,})\b", re.DOTALL)


class Outage:
    """Counts failures and logs changes of state only. Safe to call from any thread."""

    def __init__(
        self,
        log: logging.Logger,
        began: str,
        ended: str,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        **facts: object,
    ) -> None:
        """Prepare; *began* and *ended* are the log events, *facts* are added to each line."""
        self._log = log
        self._began = began
        self._ended = ended
        self._facts = facts
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._lasts = False
        self._reason = ""
        self._since = 0.0
        self._failures = 0

    def failed(self, reason: str) -> None:
        """Count a failure. It is logged if it is the first, or the first with this reason."""
        with self._lock:
            if not self._lasts:
                self._since, self._failures = self._monotonic(), 0
            changed = not self._lasts or reason != self._reason
            self._lasts, self._reason = True, reason
            failures = {"failures": self._failures} if self._failures else {}
            self._failures += 1
        if changed:
            self._log.warning(self._began, extra={"error": reason, **failures, **self._facts})

    def over(self) -> None:
        """Log the end, with how often it failed and how long it took; nothing if nothing failed."""
        if not self._lasts:  # without the lock: called after every success
            return
        with self._lock:
            lasted, self._lasts = self._lasts, False
            failures, seconds = self._failures, round(self._monotonic() - self._since, 1)
        if lasted:
            totals = {"failures": failures, "seconds": seconds}
            self._log.info(self._ended, extra={**totals, **self._facts})


def reason_of(error: BaseException) -> str:
    """Return the error's type, with the code of an error reply of Redis; no other text.

    But for a failure of TLS, and a server that must not be used so, which say what is wrong.

    Kombu and Celery wrap Redis' errors, so the causes are searched too.
    """
    if (failure := tls_failure(error)) is not None:
        return failure
    if isinstance(error, UnusableRedis):
        return str(error)
    named, cause = error, error.__cause__ or error.__context__
    while cause is not None:
        if isinstance(cause, UnusableRedis):
            return str(cause)
        if isinstance(cause, RedisError) and not isinstance(cause, ExecAbortError):
            named = cause
        cause = cause.__cause__ or cause.__context__
    code = _CODE.match(str(named)) if isinstance(named, RedisError) else None
    return f"{type(named).__name__} {code[1]}" if code else type(named).__name__
