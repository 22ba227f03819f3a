"""The courier: claims what is due, sends it, and records what came of it, in one loop.

Results are recorded in a thread of their own, while the loop claims and sends the next notices. No
transaction is open while a partner is on the line. A notice is claimed only when there is a
place for its call, and sent only while enough of its lease is left (protocol.md rule 14).
"""

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from models.database.engine import Transaction
from models.database.errors import UNEXPLAINED, Blame, blame
from models.outbox.values import Attempt
from models.platform.clock import Clock
from models.platform.encryption import Vault
from models.settings.settings import Settings
from worker.delivery.background_recorder import BackgroundRecorder
from worker.delivery.dispatch import Dispatch
from worker.delivery.recorder import Recorder

log = logging.getLogger(__name__)

DELIVERY_RUN: Final = "delivery_run"
DATABASE_AWAY: Final = "delivery_database_away"
RESULTS_LEFT: Final = "delivery_results_left"

_LOOK_SECONDS: Final = 0.25  # between two looks for due notices while nobody hints
_AWAY_SECONDS: Final = (0.1, 0.3, 1.0, 3.0)  # pauses while the database is away; the last repeats
_STOP_MARGIN_SECONDS: Final = 5.0  # to record what came of the last calls


@dataclass(frozen=True, slots=True)
class DeliveryRun:
    """What a run did: `claimed`, `released`, and how many attempts of each verdict it recorded.

    *more*: it ended before all was done, so another run is needed.
    """

    counts: Mapping[str, int]
    more: bool


class DeliveryLoop:
    """Delivers notices: one per process, one `run` at a time.

    Calls that one run leaves open are answered in the next, results it could not record are
    recorded in the next.
    """

    def __init__(
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
    ) -> None:
        """Prepare; nothing connects before the first run. *chance*: 0 to 1, for the jitter.

        *recorded* is told of each batch that is, *unusable* every second of each partner, by code,
        whether it cannot be sent to; they must neither block nor raise.
        """
        self._places = settings.in_flight_max
        self._patience = settings.partner_timeout.total_seconds() + _STOP_MARGIN_SECONDS
        self._monotonic = monotonic
        self._dispatch = Dispatch(
            transaction=transaction,
            clock=clock,
            settings=settings,
            vault=vault,
            monotonic=monotonic,
            chance=chance,
            unusable=unusable,
        )
        recorder = Recorder(
            transaction=transaction,
            clock=clock,
            settings=settings,
            monotonic=monotonic,
            recorded=recorded,
        )
        self._recording = BackgroundRecorder(recorder, over=self._dispatch.nudge)
        self._running = threading.Lock()
        self._ended_at = monotonic()  # the last run; none yet: when this began
        self._left_more = False
        self._closed = False
        self._wanted = False  # something may be due that no look has seen
        self._held_back = False  # something is due, and may go soon
        self._filled = False  # the last look took all there was room for: there may be more
        self._stopping = False
        self._look_at = 0.0
        self._away_until = 0.0
        self._away_times = 0

    def run(self, *, lasting: timedelta) -> DeliveryRun | None:
        """Deliver until nothing is due and nothing in flight, or for as long as *lasting*.

        None: a run is going on in this process, which looks again; or the courier is closed. Raises
        what is wrong with the program or the schema; a database that is away is waited for. Any
        thread.
        """
        self._wanted = True
        counts: Counter[str] = Counter()
        until = self._monotonic() + lasting.total_seconds()
        more: bool | None = None
        # Once more, if a hint came between the last look and the end of the run.
        while more is None or (self._hinted and not more and self._monotonic() < until):
            if not self._running.acquire(blocking=False):
                break
            try:
                if self._closed:
                    return None
                more = self._work(until, counts)
            finally:
                self._ended_at = self._monotonic()
                self._running.release()
        if more is None:
            self._dispatch.nudge()
            return None
        more = self._left_more = more or self._hinted
        if counts:
            log.debug(DELIVERY_RUN, extra={**counts, "more": more})
        return DeliveryRun(counts, more)

    @property
    def left_more(self) -> bool:
        """The last run ended before all was done."""
        return self._left_more

    def idle_for(self) -> timedelta:
        """Say how long ago the last run ended; nothing while one is going on. Any thread."""
        if self._running.locked():
            return timedelta()
        return timedelta(seconds=max(0.0, self._monotonic() - self._ended_at))

    def stop(self) -> None:
        """Claim nothing more. A run that is going on ends when its calls are over.

        That takes the partner timeout at most, and 5 s more if the database is away. Safe in a
        signal handler.
        """
        self._stopping = True
        self._dispatch.nudge()

    def close(self) -> None:
        """Stop, record what came of calls left open, and hang up. Takes as long as `stop` says."""
        self.stop()
        if not self._running.acquire(timeout=2 * self._patience):
            return  # a run that does not end: its leases will
        try:
            if self._work(0.0, Counter()):
                log.error(RESULTS_LEFT, extra={"count": len(self._recording)})
        finally:
            self._closed = True
            self._dispatch.close()
            self._recording.close()
            self._running.release()

    @property
    def _hinted(self) -> bool:
        return self._wanted and not self._stopping

    def _work(self, until: float, counts: Counter[str]) -> bool:
        """Go round until all is done, or until it is time to end. True: there is more to do."""
        stop_by: float | None = None
        while True:
            now = self._monotonic()
            if self._stopping and stop_by is None:
                stop_by = until = now + self._patience
            if now >= self._away_until:
                self._ask_database(counts)
            if self._is_done():
                return False
            if self._monotonic() < until:
                self._recording.add(self._dispatch.answered(self._pause(until)))
            elif self._recording.goes_on and now >= self._away_until:
                self._recording.wait()
            else:  # what is recorded meanwhile, the next run hears of
                return True

    def _ask_database(self, counts: Counter[str]) -> None:
        """Record, give back, claim. If the database is away, say so and leave it alone a while."""
        try:
            # Calls that ended well leave places, whether or not that is recorded. Of the others the
            # circuit is to hear first: it may close the gate.
            places_again = self._filled and self._recording.well
            recorded = self._recording.turn()
            if recorded or places_again:  # what was recorded may have followers that are due
                self._wanted = True
            counts.update(recorded)
            counts.update(_some(released=self._dispatch.give_back()))
            if self._wanted or self._monotonic() >= self._look_at:
                counts.update(_some(claimed=self._look()))
        except Exception as error:
            self._wanted = True
            whose = blame(error)
            if whose is Blame.CONTENT:
                raise
            pause = _AWAY_SECONDS[min(self._away_times, len(_AWAY_SECONDS) - 1)]
            self._away_times += 1
            self._away_until = self._monotonic() + pause
            facts = {"error": type(error).__name__, "results_kept": len(self._recording)}
            event = UNEXPLAINED if whose is Blame.UNCLEAR else DATABASE_AWAY
            log.warning(event, extra={**facts, "times": self._away_times})
        else:
            self._away_times = 0

    def _look(self) -> int:
        self._wanted = False  # before the look: a hint that comes during it calls for another
        self._look_at = self._monotonic() + _LOOK_SECONDS
        places = self._places - self._dispatch.calls_open - len(self._recording)
        looked = self._dispatch.look(0 if self._stopping else max(0, places))
        self._filled = looked.filled
        self._held_back = looked.again_in is not None
        if looked.again_in is not None:
            self._look_at = min(self._look_at, self._monotonic() + looked.again_in.total_seconds())
        self._recording.add(looked.unsendable)
        return looked.claimed

    def _is_done(self) -> bool:
        """Nothing in flight, nothing to record, and nothing due as far as the last look saw."""
        if self._dispatch.calls_open or self._recording.goes_on or self._recording.waits:
            return False
        return self._stopping or not (self._wanted or self._held_back or self._away_times)

    def _pause(self, until: float) -> timedelta:
        """How long to wait for answers before the next turn."""
        now = self._monotonic()
        if now < self._away_until:
            next_turn = self._away_until
        elif self._recording.waits or self._hinted:
            next_turn = now
        else:
            next_turn = until if self._stopping else self._look_at
        return timedelta(seconds=max(0.0, min(next_turn, until) - now))


def _some(**counts: int) -> dict[str, int]:
    """Leave out what did not happen."""
    return {name: count for name, count in counts.items() if count}
