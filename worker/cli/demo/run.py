"""Runs the demo from beginning to end: start, publish, watch, decide."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from rich.live import Live

from producers.publisher import Publisher
from producers.simulation.backends import PublishedSoFar, play
from producers.simulation.stories import Life, Plot, StoryPace, stories
from worker.cli.demo import database_stats, screen
from worker.cli.demo.environment import (
    OPERATORS,
    DemoEnvironment,
    add_console_user,
    add_partners,
    demo_environment,
)
from worker.cli.demo.verdict import DemoVerdict, Evidence, judge_demo
from worker.cli.errors import Failed
from worker.cli.output import console, remark, show, show_json
from worker.cli.up.runner import stopped_by_signals
from worker.local.supervisor.runner import Stop

START_MAX: Final = timedelta(seconds=60)
FINISH_MAX: Final = timedelta(seconds=30)  # beyond the close delay, for what is still in progress
_POLL_SECONDS: Final = 0.25
_LINE_SECONDS: Final = 3.0
_CLOSINGS_SHOWN: Final = 5
_LIVES_SHOWN: Final = 7
_DOWN: Final = (0.25, 0.6)  # of the time in which tickets begin: when one partner is down
_LOG_LINES_SHOWN: Final = 40
_REFUSED_EVERY: Final = 10  # tickets, so that the demo shows retries
_REFUSED_MAX: Final = 100  # each is a rule in the partners' script
_RATE_WINDOW_SECONDS: Final = 2.0

Draw = Callable[[screen.Starting | screen.Frame], None]
Canvas = Callable[[], AbstractContextManager[Draw]]
"""Opens a canvas and returns the function that draws on it."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the demo shows."""

    tickets: int
    seed: int
    close_delay: timedelta
    over: timedelta

    def stories(self) -> list[Life]:
        """Return the lives of the tickets. Rollbacks come in time: late ones are refused."""
        delay = self.close_delay.total_seconds()
        pace = StoryPace(
            result_seconds=(0.3, min(2.0, 0.5 * delay)),
            rollback_seconds=(0.05 * delay, min(3.5, 0.35 * delay)),
            next_result_seconds=(0.02 * delay, min(1.5, 0.2 * delay)),
        )
        pace_per_second = self.tickets / max(self.over.total_seconds(), 0.1)
        lives = stories(
            self.tickets,
            operators=OPERATORS,
            seed=self.seed,
            lives_per_second=pace_per_second,
            pace=pace,
        )
        return list(lives)


def run_demo(options: DemoOptions, *, as_json: bool) -> None:
    """Run the demo and print the verdict. Raises Failed unless everything is right."""
    remark(f"demo: {screen.title(options.tickets, options.close_delay)}")
    verdict = record_demo(options, lambda: _canvas(quiet=as_json))
    if as_json:
        show_json(verdict)
    else:
        show(screen.as_verdict(verdict))
    if not verdict.kept:
        raise Failed(f"the verdict: {verdict.violations[0]}")


def record_demo(options: DemoOptions, canvas: Canvas) -> DemoVerdict:
    """Run the demo, draw its pictures on *canvas*, and return the verdict."""
    began = time.monotonic()
    with stopped_by_signals() as stop:
        remark("starting PostgreSQL and Valkey")
        with demo_environment(stop=stop) as environment:
            run = _DemoRun(environment, options, options.stories(), began)
            try:
                verdict = run.run(stop, canvas)
            except Failed:
                if not stop.requested:  # otherwise the person knows why
                    _show_log(environment)
                raise
            if not verdict.kept:
                _show_log(environment)
    return verdict


@dataclass(slots=True)
class _DemoRun:
    """One run of the demo."""

    environment: DemoEnvironment
    options: DemoOptions
    lives: list[Life]
    began: float
    published: int = 0
    rates: deque[tuple[float, int]] = field(default_factory=deque)

    def run(self, stop: Stop, canvas: Canvas) -> DemoVerdict:
        """Wait for the processes, publish and watch until everything is done, then decide."""
        with canvas() as draw:
            self._wait_until_ready(stop, draw)
            refused = [life.ticket_id for life in self.lives[::_REFUSED_EVERY]][:_REFUSED_MAX]
            add_partners(
                self.environment,
                close_delay=self.options.close_delay,
                refused_once=refused,
                down=(_DOWN[0] * self.options.over, _DOWN[1] * self.options.over),
            )
            remark(add_console_user(self.environment))
            with ThreadPoolExecutor(max_workers=1, thread_name_prefix="backends") as executor:
                backends = executor.submit(self._publish, stop)
                try:
                    self._watch(backends, stop, draw)
                except BaseException:
                    stop.requested = True  # or the backends would go on publishing
                    raise
            published = backends.result()
        with self.environment.engine.begin() as connection:
            counts = database_stats.count_all(connection)
        return judge_demo(
            Evidence(
                published=published.events,
                received=self.environment.received(),
                counts=counts,
                left_on_stream=self.environment.left_on_stream(),
                exits=self.environment.log.exits,
                close_delay=self.options.close_delay,
                seconds=time.monotonic() - self.began,
            )
        )

    def _wait_until_ready(self, stop: Stop, draw: Draw) -> None:
        deadline = time.monotonic() + START_MAX.total_seconds()
        names = self.environment.readiness.names
        while missing := self.environment.readiness.missing():
            self._check(stop)
            ready = [name for name in names if name not in missing]
            draw(screen.Starting(time.monotonic() - self.began, ready, missing))
            if time.monotonic() > deadline:
                late = ", ".join(missing)
                raise Failed(f"not ready within {START_MAX.total_seconds():.0f} s: {late}")
            time.sleep(_POLL_SECONDS)

    def _publish(self, stop: Stop) -> PublishedSoFar:
        """Publish as the backends do; runs in a thread of its own."""

        def wait(seconds: float) -> bool:
            time.sleep(seconds)
            return stop.requested

        def note(account: PublishedSoFar) -> None:
            self.published = len(account.events)

        publisher = Publisher.at(self.environment.redis_url)
        try:
            return play(self.lives, publisher, wait=wait, on_published=note)
        finally:
            publisher.close()

    def _watch(self, backends: Future[PublishedSoFar], stop: Stop, draw: Draw) -> None:
        deadline: float | None = None
        patience = (self.options.close_delay + FINISH_MAX).total_seconds()
        while True:
            self._check(stop)
            frame = self._frame("waiting for the last closings" if deadline else "tickets live")
            draw(frame)
            if backends.done():
                deadline = deadline or time.monotonic() + patience
                all_begun = sum(frame.counts.tickets.values()) == self.options.tickets
                if (all_begun and frame.counts.finished) or time.monotonic() > deadline:
                    return
            time.sleep(_POLL_SECONDS)

    def _check(self, stop: Stop) -> None:
        if stop.requested:
            raise Failed("ended before the verdict")
        if self.environment.processes.done():
            self.environment.processes.result()  # raises its error
            raise Failed("the processes ended by themselves")

    def _frame(self, phase: str) -> screen.Frame:
        now = datetime.now(UTC)
        with self.environment.engine.begin() as connection:
            counts = database_stats.count_all(connection)
            partners = database_stats.partner_states(connection)
            closings = database_stats.next_closings(connection, now=now, limit=_CLOSINGS_SHOWN)
            lives = database_stats.lives(connection, self._watched())
        return screen.Frame(
            seconds=time.monotonic() - self.began,
            now=now,
            phase=phase,
            tickets=self.options.tickets,
            close_delay=self.options.close_delay,
            published=self.published,
            counts=counts,
            notices_per_second=self._rate(counts.delivered),
            partners=partners,
            closings=closings,
            lives=lives,
            addresses=self.environment.addresses,
        )

    def _rate(self, delivered: int) -> float:
        now = time.monotonic()
        self.rates.append((now, delivered))
        while len(self.rates) > 2 and now - self.rates[1][0] > _RATE_WINDOW_SECONDS:  # noqa: PLR2004 - two make a difference
            self.rates.popleft()
        (since, before), seconds = self.rates[0], now - self.rates[0][0]
        assert since <= now, "a monotonic clock"
        return (delivered - before) / seconds if seconds else 0.0

    def _watched(self) -> list[str]:
        """Return tickets from the whole demo, those with a rollback before others."""
        plain = {Plot.LOST, Plot.WIN}
        lives = [life for life in self.lives if life.plot not in plain] or self.lives
        step = max(1, len(lives) // _LIVES_SHOWN)
        return [life.ticket_id for life in lives[::step][:_LIVES_SHOWN]]


@contextmanager
def _canvas(*, quiet: bool) -> Iterator[Draw]:
    """Draw on a live screen, whose last picture stays; without a terminal, print lines."""
    terminal = console()
    if terminal.is_terminal and not quiet:
        with Live(console=terminal, auto_refresh=False) as live:
            yield lambda picture: live.update(screen.as_screen(picture), refresh=True)
        return
    shown_at = -_LINE_SECONDS

    def draw(picture: screen.Starting | screen.Frame) -> None:
        nonlocal shown_at
        if picture.seconds - shown_at >= _LINE_SECONDS:
            shown_at = picture.seconds
            remark(screen.as_line(picture))

    yield draw


def _show_log(environment: DemoEnvironment) -> None:
    """Print the last lines that the processes wrote."""
    for line in list(environment.log.lines)[-_LOG_LINES_SHOWN:]:
        remark(line)
