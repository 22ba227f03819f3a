"""Keeps every process of a Procfile running until it is told to stop."""

import selectors
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from worker.local.supervisor.child import Child
from worker.local.supervisor.orphan_guard import Leash
from worker.local.supervisor.procfile import ProcessLine
from worker.local.supervisor.restart import after_death

Say = Callable[[str, str], None]
"""Shows one line: the process's name, and what it wrote or what became of it."""

TURN_SECONDS_MAX = 0.1  # how late a death, a due start or the order to stop may be noticed
GRACE = timedelta(seconds=15)


@dataclass(slots=True)
class Stop:
    """The order to stop. `at_once` skips the grace."""

    asked: bool = False
    at_once: bool = False

    def ask(self) -> None:
        """End cleanly; asked a second time, end at once."""
        self.at_once = self.asked
        self.asked = True


@dataclass(slots=True)
class _Slot:
    """One line of the Procfile, the process that fills it now, and its record."""

    line: ProcessLine
    child: Child | None = None
    started_at: float = 0.0  # of the monotonic clock, as are the others
    start_at: float = 0.0
    deaths: int = 0


class Supervisor:
    """Starts processes, shows their lines, starts again who dies, ends them all."""

    def __init__(
        self,
        *,
        environment: Mapping[str, str],
        folder: Path,
        say: Say,
        grace: timedelta = GRACE,
        discard: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*environment* is the processes' whole environment; they start in *folder*.

        *discard* is a folder that is deleted if we are killed and cannot do it ourselves.
        """
        self._environment = environment
        self._folder = folder
        self._say = say
        self._grace = grace
        self._discard = discard
        self._clock = clock

    def run_to_end(self, line: ProcessLine, *, stop: Stop) -> int:
        """Run one process to its end and give its exit code, or end it when *stop* is asked."""
        post = _Slot(line)
        with self._leash() as leash, selectors.DefaultSelector() as outputs:
            self._start(post, leash, outputs)
            assert post.child is not None, "just started"
            while (code := post.child.code()) is None and not stop.asked:
                self._show(outputs)
            self._end_all([post], outputs, stop)
        return -signal.SIGTERM if code is None else code

    def run(self, lines: Sequence[ProcessLine], *, stop: Stop) -> None:
        """Run *lines* side by side until *stop* is asked; return when all have ended.

        May run in a thread of its own. Whatever ends it, no process outlives it.
        """
        posts = [_Slot(line) for line in lines]
        with self._leash() as leash, selectors.DefaultSelector() as outputs:
            try:
                while not stop.asked:
                    for post in posts:
                        self._mind(post, leash, outputs)
                    self._show(outputs)
            finally:
                self._end_all(posts, outputs, stop)

    def _leash(self) -> Leash:
        return Leash(grace=self._grace, discard=self._discard)

    def _mind(self, post: _Slot, leash: Leash, outputs: selectors.BaseSelector) -> None:
        """Start who is due; notice who died."""
        now = self._clock()
        if post.child is None:
            if now >= post.start_at:
                self._start(post, leash, outputs)
            return
        code = post.child.code()
        if code is None:
            return
        self._bury(post, outputs)
        restart = after_death(
            deaths_before=post.deaths, lived=timedelta(seconds=now - post.started_at)
        )
        post.deaths = restart.deaths
        post.start_at = now + restart.pause.total_seconds()
        self._say(post.line.name, f"ended with {_in_words(code)}; {_when(restart.pause)}")

    def _start(self, post: _Slot, leash: Leash, outputs: selectors.BaseSelector) -> None:
        post.child = Child(
            post.line, environment=self._environment, folder=self._folder, leash=leash
        )
        post.started_at = self._clock()
        outputs.register(post.child, selectors.EVENT_READ, post)

    def _bury(self, post: _Slot, outputs: selectors.BaseSelector) -> None:
        """Show its last lines and end what it left of its group."""
        assert post.child is not None, "only a started process can end"
        with suppress(KeyError):  # its output was at its end already
            outputs.unregister(post.child)
        for text in post.child.finish():
            self._say(post.line.name, text)
        post.child = None

    def _show(self, outputs: selectors.BaseSelector) -> None:
        """Show what was written; wait at most a turn for it."""
        if not outputs.get_map():
            time.sleep(TURN_SECONDS_MAX)
            return
        for key, _ in outputs.select(TURN_SECONDS_MAX):
            post: _Slot = key.data
            assert post.child is not None, "a buried child is not registered"
            for text in post.child.lines():
                self._say(post.line.name, text)
            if post.child.output_ended:
                outputs.unregister(post.child)

    def _end_all(self, posts: Sequence[_Slot], outputs: selectors.BaseSelector, stop: Stop) -> None:
        """SIGTERM to all; who is still there after the grace, or at a second order, is killed."""
        running = [post for post in posts if post.child is not None]
        for post in running:
            assert post.child is not None, "filtered above"
            post.child.ask_to_end()
        deadline = self._clock() + self._grace.total_seconds()
        while running and not stop.at_once and self._clock() < deadline:
            for post in [p for p in running if p.child is not None and p.child.code() is not None]:
                self._bury(post, outputs)
                running.remove(post)
            if running:
                self._show(outputs)
        for post in running:
            self._say(post.line.name, "did not end in time and is killed")
            self._bury(post, outputs)


def _in_words(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def _when(pause: timedelta) -> str:
    if not pause:
        return "starting it again"
    return f"starting it again in {pause.total_seconds():g} s"
