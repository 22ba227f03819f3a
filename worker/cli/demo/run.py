"""Plays the demo from beginning to end: start, publish, watch, judge."""

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
from worker.cli.demo import database_stats as glance
from worker.cli.demo import screen
from worker.cli.demo.environment import OPERATORS, DemoEnvironment, hire, stage
from worker.cli.demo.verdict import DemoVerdict, Evidence, judge_demo
from worker.cli.errors import Failed
from worker.cli.output import console, remark, show, show_json
from worker.cli.up.runner import stopped_by_signals
from worker.local.supervisor.runner import Stop

START_MAX: Final = timedelta(seconds=60)
AFTERPLAY_MAX: Final = timedelta(seconds=30)  # beyond the close delay, for what is still on its way
_LOOK_SECONDS: Final = 0.25
_LINE_SECONDS: Final = 3.0
_CLOSINGS_SHOWN: Final = 5
_LIVES_SHOWN: Final = 7
_DOWN: Final = (0.25, 0.6)  # of the time in which tickets begin: when one partner is down
_LINES_OF_A_FAILURE: Final = 40
_ONE_REFUSED_OF: Final = 10  # tickets: retries are part of the show
_REFUSED_MAX: Final = 100  # each is a rule in the partners' script
_RATE_WINDOW_SECONDS: Final = 2.0

Draw = Callable[[screen.Starting | screen.Frame], None]
Canvas = Callable[[], AbstractContextManager[Draw]]
"""Opens what pictures are drawn on."""


@dataclass(frozen=True, slots=True)
class Play:
    """What is played."""

    tickets: int
    seed: int
    close_delay: timedelta
    over: timedelta

    def stories(self) -> list[Life]:
        """The lives. A rollback comes well within the close delay, else it is rightly refused."""
        delay = self.close_delay.total_seconds()
        pace = StoryPace(
            result_seconds=(0.3, min(2.0, 0.5 * delay)),
            rollback_seconds=(0.05 * delay, min(3.5, 0.35 * delay)),
            next_result_seconds=(0.02 * delay, min(1.5, 0.2 * delay)),
        )
        pace_per_second = self.tickets / max(self.over.total_seconds(), 0.1)
        invented = stories(
            self.tickets,
            operators=OPERATORS,
            seed=self.seed,
            lives_per_second=pace_per_second,
            pace=pace,
        )
        return list(invented)


def perform(chosen: Play, *, as_json: bool) -> None:
    """Play *chosen* and print the verdict. Raises Failed unless everything is right."""
    remark(f"demo: {screen.title(chosen.tickets, chosen.close_delay)}")
    judgement = played(chosen, lambda: _canvas(quiet=as_json))
    if as_json:
        show_json(judgement)
    else:
        show(screen.as_verdict(judgement))
    if not judgement.kept:
        raise Failed(f"the verdict: {judgement.violations[0]}")


def played(chosen: Play, canvas: Canvas) -> DemoVerdict:
    """Play *chosen*, with its pictures on *canvas*, and judge it."""
    began = time.monotonic()
    with stopped_by_signals() as stop:
        remark("starting PostgreSQL and Valkey")
        with stage(stop=stop) as the_stage:
            performance = _DemoRun(the_stage, chosen, chosen.stories(), began)
            try:
                judgement = performance.run(stop, canvas)
            except Failed:
                if not stop.asked:  # else the person knows why
                    _tell_lines(the_stage)
                raise
            if not judgement.kept:
                _tell_lines(the_stage)
    return judgement


@dataclass(slots=True)
class _DemoRun:
    """One performance, while it lasts."""

    stage: DemoEnvironment
    chosen: Play
    lives: list[Life]
    began: float
    published: int = 0
    rates: deque[tuple[float, int]] = field(default_factory=deque)

    def run(self, stop: Stop, canvas: Canvas) -> DemoVerdict:
        """Wait for the processes, publish and watch until all is done, then judge."""
        with canvas() as draw:
            self._wait_until_ready(stop, draw)
            unlucky = [one.ticket_id for one in self.lives[::_ONE_REFUSED_OF]][:_REFUSED_MAX]
            hire(
                self.stage,
                close_delay=self.chosen.close_delay,
                refused_once=unlucky,
                down=(_DOWN[0] * self.chosen.over, _DOWN[1] * self.chosen.over),
            )
            with ThreadPoolExecutor(max_workers=1, thread_name_prefix="backends") as executor:
                backends = executor.submit(self._publish, stop)
                try:
                    self._watch(backends, stop, draw)
                except BaseException:
                    stop.asked = True  # or the backends would play on
                    raise
            published = backends.result()
        with self.stage.engine.begin() as connection:
            books = glance.read_books(connection)
        return judge_demo(
            Evidence(
                published=published.events,
                received=self.stage.received(),
                books=books,
                left_on_stream=self.stage.left_on_stream(),
                deaths=self.stage.backstage.deaths,
                close_delay=self.chosen.close_delay,
                seconds=time.monotonic() - self.began,
            )
        )

    def _wait_until_ready(self, stop: Stop, draw: Draw) -> None:
        deadline = time.monotonic() + START_MAX.total_seconds()
        names = self.stage.readiness.names
        while missing := self.stage.readiness.missing():
            self._check(stop)
            ready = [name for name in names if name not in missing]
            draw(screen.Starting(time.monotonic() - self.began, ready, missing))
            if time.monotonic() > deadline:
                late = ", ".join(missing)
                raise Failed(f"not ready within {START_MAX.total_seconds():.0f} s: {late}")
            time.sleep(_LOOK_SECONDS)

    def _publish(self, stop: Stop) -> PublishedSoFar:
        """The backends' thread."""

        def wait(seconds: float) -> bool:
            time.sleep(seconds)
            return stop.asked

        def note(account: PublishedSoFar) -> None:
            self.published = len(account.events)

        publisher = Publisher.at(self.stage.redis_url)
        try:
            return play(self.lives, publisher, wait=wait, on_published=note)
        finally:
            publisher.close()

    def _watch(self, backends: Future[PublishedSoFar], stop: Stop, draw: Draw) -> None:
        deadline: float | None = None
        patience = (self.chosen.close_delay + AFTERPLAY_MAX).total_seconds()
        while True:
            self._check(stop)
            frame = self._frame("waiting for the last closings" if deadline else "tickets live")
            draw(frame)
            if backends.done():
                deadline = deadline or time.monotonic() + patience
                everyone = sum(frame.books.tickets.values()) == self.chosen.tickets
                if (everyone and frame.books.finished) or time.monotonic() > deadline:
                    return
            time.sleep(_LOOK_SECONDS)

    def _check(self, stop: Stop) -> None:
        if stop.asked:
            raise Failed("ended before the verdict")
        if self.stage.running.done():
            self.stage.running.result()  # raises what went wrong
            raise Failed("the processes ended by themselves")

    def _frame(self, phase: str) -> screen.Frame:
        now = datetime.now(UTC)
        with self.stage.engine.begin() as connection:
            books = glance.read_books(connection)
            partners = glance.partner_states(connection)
            closings = glance.next_closings(connection, now=now, limit=_CLOSINGS_SHOWN)
            watched = glance.lives(connection, self._watched())
        return screen.Frame(
            seconds=time.monotonic() - self.began,
            now=now,
            phase=phase,
            tickets=self.chosen.tickets,
            close_delay=self.chosen.close_delay,
            published=self.published,
            books=books,
            notices_per_second=self._rate(books.delivered),
            partners=partners,
            closings=closings,
            lives=watched,
            where=self.stage.where,
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
        """Lives from all over the play; those with a rollback tell most."""
        told = [one for one in self.lives if one.plot not in {Plot.LOST, Plot.WIN}] or self.lives
        step = max(1, len(told) // _LIVES_SHOWN)
        return [one.ticket_id for one in told[::step][:_LIVES_SHOWN]]


@contextmanager
def _canvas(*, quiet: bool) -> Iterator[Draw]:
    """A live screen on a terminal, whose last picture stays; else lines on stderr."""
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


def _tell_lines(the_stage: DemoEnvironment) -> None:
    """What the processes wrote last, for whoever has to find out why."""
    for line in list(the_stage.backstage.lines)[-_LINES_OF_A_FAILURE:]:
        remark(line)
