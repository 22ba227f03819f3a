"""Keeps every process of a Procfile running until it is told to stop."""

import selectors
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from models.platform.backoff import Backoff
from worker.local.orphan_guard import GroupGuard
from worker.local.supervisor.child import Child
from worker.local.supervisor.procfile import ProcessLine

WriteLine = Callable[[str, str], None]
"""Shows one line: the process's name, and what it wrote or what happened to it."""

POLL_SECONDS_MAX = 0.1  # how late an exit, a due start or the order to stop may be noticed
GRACE = timedelta(seconds=15)
# The last one repeats. A first exit is usually an accident, a fifth in a row a wrong setting.
PAUSES = (
    timedelta(0),
    timedelta(seconds=0.5),
    timedelta(seconds=1),
    timedelta(seconds=2),
    timedelta(seconds=5),
)
STABLE_AFTER = timedelta(seconds=30)  # a process that ran this long starts with a clean record


@dataclass(frozen=True, slots=True)
class Restart:
    """Start again after *pause*; *exits* in a row so far, this one included."""

    pause: timedelta
    exits: int


def restart_after(*, exits_before: int, uptime: timedelta) -> Restart:
    """Return when to restart a process that has exited: at once, then with growing pauses."""
    backoff = Backoff(PAUSES, failures=0 if uptime >= STABLE_AFTER else exits_before)
    return Restart(pause=backoff.next(), exits=backoff.failures)


@dataclass(slots=True)
class Stop:
    """The order to stop. `at_once` skips the grace."""

    requested: bool = False
    at_once: bool = False

    def request(self) -> None:
        """Stop cleanly; requested a second time, stop at once."""
        self.at_once = self.requested
        self.requested = True


@dataclass(slots=True)
class _Slot:
    """One line of the Procfile, the process that fills it now, and its record."""

    line: ProcessLine
    child: Child | None = None
    started_at: float = 0.0  # of the monotonic clock, as are the others
    start_at: float = 0.0
    exits: int = 0


class Supervisor:
    """Starts processes, shows their lines, restarts those that exit, ends them all."""

    def __init__(
        self,
        *,
        environment: Mapping[str, str],
        folder: Path,
        write_line: WriteLine,
        grace: timedelta = GRACE,
        discard: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*environment* is the whole environment of the processes; they start in *folder*.

        *discard* is a folder that is deleted if this process is killed and cannot do it itself.
        """
        self._environment = environment
        self._folder = folder
        self._write_line = write_line
        self._grace = grace
        self._discard = discard
        self._clock = clock

    def run_to_end(self, line: ProcessLine, *, stop: Stop) -> int:
        """Run one process and return its exit code; end it when *stop* is requested."""
        slot = _Slot(line)
        with self._guard() as guard, selectors.DefaultSelector() as outputs:
            self._start(slot, guard, outputs)
            assert slot.child is not None, "just started"
            while (code := slot.child.code()) is None and not stop.requested:
                self._show(outputs)
            self._end_all([slot], outputs, stop)
        return -signal.SIGTERM if code is None else code

    def run(self, lines: Sequence[ProcessLine], *, stop: Stop) -> None:
        """Run *lines* side by side until *stop* is requested; return when all have ended.

        May run in a thread of its own. However it ends, no process outlives it.
        """
        slots = [_Slot(line) for line in lines]
        with self._guard() as guard, selectors.DefaultSelector() as outputs:
            try:
                while not stop.requested:
                    for slot in slots:
                        self._poll(slot, guard, outputs)
                    self._show(outputs)
            finally:
                self._end_all(slots, outputs, stop)

    def _guard(self) -> GroupGuard:
        return GroupGuard(grace=self._grace, discard=self._discard)

    def _poll(self, slot: _Slot, guard: GroupGuard, outputs: selectors.BaseSelector) -> None:
        """Start the process if it is due; reap it if it has exited."""
        now = self._clock()
        if slot.child is None:
            if now >= slot.start_at:
                self._start(slot, guard, outputs)
            return
        code = slot.child.code()
        if code is None:
            return
        self._reap(slot, outputs)
        uptime = timedelta(seconds=now - slot.started_at)
        restart = restart_after(exits_before=slot.exits, uptime=uptime)
        slot.exits = restart.exits
        slot.start_at = now + restart.pause.total_seconds()
        self._write_line(
            slot.line.name, f"ended with {_describe_exit(code)}; {_describe_restart(restart.pause)}"
        )

    def _start(self, slot: _Slot, guard: GroupGuard, outputs: selectors.BaseSelector) -> None:
        slot.child = Child(
            slot.line, environment=self._environment, folder=self._folder, guard=guard
        )
        slot.started_at = self._clock()
        outputs.register(slot.child, selectors.EVENT_READ, slot)

    def _reap(self, slot: _Slot, outputs: selectors.BaseSelector) -> None:
        """Show its last lines and end what is left of its group."""
        assert slot.child is not None, "only a started process can end"
        with suppress(KeyError):  # its output had ended already
            outputs.unregister(slot.child)
        for text in slot.child.finish():
            self._write_line(slot.line.name, text)
        slot.child = None

    def _show(self, outputs: selectors.BaseSelector) -> None:
        """Show what was written; wait for it at most POLL_SECONDS_MAX."""
        if not outputs.get_map():
            time.sleep(POLL_SECONDS_MAX)
            return
        for key, _ in outputs.select(POLL_SECONDS_MAX):
            slot: _Slot = key.data
            assert slot.child is not None, "a reaped child is not registered"
            for text in slot.child.lines():
                self._write_line(slot.line.name, text)
            if slot.child.output_ended:
                outputs.unregister(slot.child)

    def _end_all(self, slots: Sequence[_Slot], outputs: selectors.BaseSelector, stop: Stop) -> None:
        """Send SIGTERM to all; kill those still running after the grace, or at a second order."""
        running = [slot for slot in slots if slot.child is not None]
        for slot in running:
            assert slot.child is not None, "filtered above"
            slot.child.terminate()
        deadline = self._clock() + self._grace.total_seconds()
        while running and not stop.at_once and self._clock() < deadline:
            for slot in [p for p in running if p.child is not None and p.child.code() is not None]:
                self._reap(slot, outputs)
                running.remove(slot)
            if running:
                self._show(outputs)
        for slot in running:
            self._write_line(slot.line.name, "did not end in time and is killed")
            self._reap(slot, outputs)


def _describe_exit(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def _describe_restart(pause: timedelta) -> str:
    if not pause:
        return "starting it again"
    return f"starting it again in {pause.total_seconds():g} s"
