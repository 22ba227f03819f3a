"""The delivery loop: claim what is due, sign it, send it, classify the responses, record them.

`DeliveryLoop._deliver` shows that whole way. No transaction is open while a partner works on a
request. A notice is claimed only when there is room for its call, and sent only while enough of its
lease is left (rule 14).
"""

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from models.database.engine import Transaction
from models.database.errors import UNEXPLAINED, Blame, blame
from models.outbox.values import Attempt, Claim
from models.platform.clock import Clock
from models.platform.encryption import Vault
from models.settings.settings import Settings
from models.tracing.tracer import Tracer
from worker.delivery import schedule
from worker.delivery.admission import NOTHING_ADMITTED, Admitted
from worker.delivery.dispatch import Dispatch
from worker.delivery.http.exchange import FinishedCall
from worker.delivery.recorder import BackgroundRecorder, ResultBuffer
from worker.delivery.schedule import DeliverySchedule, Done, FinishRecording, OpenWork, Wait
from worker.delivery.signed_call import SignedCall

log = logging.getLogger(__name__)

DELIVERY_RUN: Final = "delivery_run"
DATABASE_UNAVAILABLE: Final = "database_unavailable"
RESULTS_NOT_RECORDED: Final = "results_not_recorded"

_STOP_MARGIN_SECONDS: Final = 5.0  # to record the results of the last calls


@dataclass(frozen=True, slots=True)
class DeliveryRun:
    """What a run did: `claimed`, `released`, and how many attempts of each verdict it recorded.

    *more*: it ended before all was done, so another run is needed.
    """

    counts: Mapping[str, int]
    more: bool


class DeliveryLoop:
    """Delivers notices: one per process, one `run` at a time.

    A run collects the responses to calls that the previous run left open, and records results that
    it could not record.
    """

    def __init__(  # noqa: PLR0913 - what a process passes to its one loop
        self,
        *,
        transaction: Transaction,
        clock: Clock,
        settings: Settings,
        vault: Vault,
        monotonic: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        recorded: Callable[[Sequence[Attempt]], None] = lambda _: None,
        unusable: Callable[[Mapping[str, bool]], None] = lambda _: None,
        token_called: Callable[[str, str], None] = lambda _code, _outcome: None,
        tracer: Tracer | None = None,
    ) -> None:
        """Prepare; nothing connects before the first run. *chance*: 0 to 1, for the jitter.

        *recorded* is called with each batch that was recorded, *unusable* every second with whether
        each partner, by code, cannot be sent to, *token_called* after each call of a token endpoint
        with the partner's code and the outcome. They must neither block nor raise.
        """
        self._calls_max = settings.in_flight_max
        self._monotonic = monotonic
        self._dispatch = Dispatch(
            transaction=transaction,
            clock=clock,
            settings=settings,
            vault=vault,
            monotonic=monotonic,
            chance=chance,
            unusable=unusable,
            token_called=token_called,
            tracer=tracer,
        )
        buffer = ResultBuffer(
            transaction=transaction,
            clock=clock,
            settings=settings,
            monotonic=monotonic,
            recorded=recorded,
        )
        self._recorder = BackgroundRecorder(buffer, batch_ended=self._dispatch.interrupt)
        self._running = threading.Lock()
        self._ended_at = monotonic()  # the last run; before the first one, the start of the process
        self._left_more = False
        self._totals = _Totals()
        self._closed = False
        self._schedule = DeliverySchedule()  # only the thread that holds `_running` replaces it
        # Set by other threads and by signal handlers: plain booleans, since no lock is safe there.
        self._wakeup_pending = False
        self._stop_requested = False

    def run(self, *, lasting: timedelta) -> DeliveryRun | None:
        """Deliver until nothing is due and nothing is in flight, or for as long as *lasting*.

        Returns None if a run is going on in this process, which then polls again, or if the loop is
        closed. Raises what is wrong with the program or the schema; an unavailable database is
        waited for. Any thread.
        """
        self._wakeup_pending = True
        counts: Counter[str] = Counter()
        ends_at = self._monotonic() + lasting.total_seconds()
        more: bool | None = None
        # Once more, if a wakeup came between the last poll and the end of the run.
        while more is None or (self._is_woken and not more and self._monotonic() < ends_at):
            if not self._running.acquire(blocking=False):
                break
            try:
                if self._closed:
                    return None
                more = self._deliver(ends_at, counts)
            finally:
                self._ended_at = self._monotonic()
                self._running.release()
        if more is None:
            self._dispatch.interrupt()
            return None
        more = self._left_more = more or self._is_woken
        if counts:
            log.debug(DELIVERY_RUN, extra={**counts, "more": more})
            self._totals.add(counts)
        return DeliveryRun(counts, more)

    def wake(self) -> bool:
        """Make a run that is going on poll again. Returns False if none is. Any thread."""
        self._wakeup_pending = True
        if not self._running.locked():
            return False
        self._dispatch.interrupt()
        return True

    def take_totals(self) -> Mapping[str, int]:
        """Return the counts of all runs that ended since the last time. Any thread."""
        return self._totals.take()

    @property
    def _stop_seconds(self) -> float:
        """How long the calls in flight may take until they are over."""
        return self._dispatch.longest_timeout.total_seconds() + _STOP_MARGIN_SECONDS

    @property
    def left_more(self) -> bool:
        """Whether the last run ended before all was done."""
        return self._left_more

    def idle_for(self) -> timedelta:
        """Return how long ago the last run ended; zero while one is going on. Any thread."""
        if self._running.locked():
            return timedelta()
        return timedelta(seconds=max(0.0, self._monotonic() - self._ended_at))

    def stop(self) -> None:
        """Claim nothing more. A run that is going on ends when its calls are over.

        That takes the longest timeout of a call at most, and 5 s more if the database is
        unavailable. Safe in a signal handler.
        """
        self._stop_requested = True
        self._dispatch.interrupt()

    def close(self) -> None:
        """Stop, record the results of open calls, and close all connections.

        Takes as long as `stop` says.
        """
        self.stop()
        if not self._running.acquire(timeout=2 * self._stop_seconds):
            return  # the run does not end; the leases of its notices will
        try:
            if self._deliver(0.0, Counter()):
                log.error(RESULTS_NOT_RECORDED, extra={"count": len(self._recorder)})
        finally:
            self._closed = True
            self._dispatch.close()
            self._recorder.close()
            self._running.release()

    def _deliver(self, ends_at: float, counts: Counter[str]) -> bool:
        """Claim, sign, send, classify and record until all is done, or it is time to end.

        Returns whether there is more to do.
        """
        self._schedule = schedule.start(self._schedule, ends_at=ends_at)
        self._record((), counts)  # what the previous run left
        while True:
            self._read_signals()
            for claim in self._claim(counts):
                self._send(self._sign(claim))
            match schedule.next_action(self._schedule, self._open_work(), self._monotonic()):
                case Wait(until):
                    self._record(self._classify(self._receive(until)), counts)
                case FinishRecording():
                    self._recorder.wait()
                    self._record((), counts)
                case Done(more):
                    return more

    def _claim(self, counts: Counter[str]) -> Iterator[Claim]:
        """Claim due notices, if it is time to poll. Returns those that can be sent in time."""
        admitted = NOTHING_ADMITTED
        if schedule.is_poll_due(self._schedule, self._monotonic()):
            with self._backing_off():
                admitted = self._poll()
                _count(counts, claimed=len(admitted.claims))
        return self._dispatch.in_time(admitted)

    def _poll(self) -> Admitted:
        began_at = self._monotonic()
        room = self._calls_max - self._dispatch.places_taken - len(self._recorder)
        admitted = self._dispatch.claim(0 if self._schedule.stopping else max(0, room))
        self._schedule = schedule.after_poll(
            self._schedule,
            began_at=began_at,
            now=self._monotonic(),
            full=admitted.full,
            again_in=admitted.again_in,
        )
        return admitted

    def _sign(self, claim: Claim) -> SignedCall | Attempt:
        """Sign the request of *claim*. Returns a failed attempt if that is not possible."""
        return self._dispatch.sign(claim)

    def _send(self, signed: SignedCall | Attempt) -> None:
        """Start the call; what could not be signed or sent is recorded with the other results."""
        failed = signed if isinstance(signed, Attempt) else self._dispatch.send(signed)
        if failed is not None:
            self._recorder.add([failed])

    def _receive(self, until: float) -> list[FinishedCall]:
        """Return the calls that are over: at once if there are any, else by *until*."""
        return self._dispatch.receive(timedelta(seconds=max(0.0, until - self._monotonic())))

    def _classify(self, calls: Iterable[FinishedCall]) -> list[Attempt]:
        """Turn responses into attempts: delivered, again, unanswered or dead."""
        return [attempt for call in calls for attempt in self._dispatch.classify(call)]

    def _record(self, attempts: Iterable[Attempt], counts: Counter[str]) -> None:
        """Keep *attempts*, and begin to record all that are kept, unless a batch is being recorded.

        Also releases claims that were too late to be sent, or waited too long for a token. While
        the database is unavailable, nothing is dropped.
        """
        self._recorder.add(attempts)
        if not schedule.may_use_database(self._schedule, self._monotonic()):
            return
        with self._backing_off():
            all_delivered = self._recorder.would_record_successes_only
            recorded = self._recorder.record_next()
            self._schedule = schedule.after_recording(
                self._schedule, recorded=bool(recorded), all_delivered=all_delivered
            )
            counts.update(recorded)
            _count(counts, released=self._dispatch.release_late())

    @contextmanager
    def _backing_off(self) -> Iterator[None]:
        """Leave the database alone for a while after an error that is not due to our own data."""
        try:
            yield
        except Exception as error:
            whose = blame(error)
            if whose is Blame.CONTENT:
                raise
            self._schedule = schedule.after_failure(self._schedule, self._monotonic())
            log.warning(
                UNEXPLAINED if whose is Blame.UNCLEAR else DATABASE_UNAVAILABLE,
                extra={
                    "error": type(error).__name__,
                    "results_kept": len(self._recorder),
                    "failures": self._schedule.database_failures,
                },
            )

    @property
    def _is_woken(self) -> bool:
        return (self._wakeup_pending or self._schedule.poll_requested) and not self._stop_requested

    def _read_signals(self) -> None:
        """Take over what other threads have asked for."""
        if self._wakeup_pending:
            self._wakeup_pending = False  # before the poll: a wakeup during it asks for another
            self._schedule = replace(self._schedule, poll_requested=True)
        if self._stop_requested:
            self._dispatch.stop_waiting()
            ends_at = self._monotonic() + self._stop_seconds
            self._schedule = schedule.stop(self._schedule, ends_at=ends_at)

    def _open_work(self) -> OpenWork:
        return OpenWork(
            calls=self._dispatch.calls_open,
            recording=self._recorder.is_recording,
            results=self._recorder.has_waiting or self._dispatch.has_late,
        )


class _Totals:
    """The counts of runs that ended, until they are taken. Any thread."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, counts: Counter[str]) -> None:
        with self._lock:
            self._counts += counts

    def take(self) -> Counter[str]:
        with self._lock:
            counts, self._counts = self._counts, Counter()
        return counts


def _count(counts: Counter[str], **more: int) -> None:
    """Add to *counts*; what did not happen is left out."""
    counts.update({name: count for name, count in more.items() if count})
