"""Ends processes that their starter, killed, could not end itself.

A small guard process holds the reading end of a pipe whose writing end only the starter has. The
kernel closes that end however the starter dies, SIGKILL included; then the guard ends what it
guards. There are two kinds:

- `GroupGuard` guards the process groups of the supervisor. It is not their parent: they are the
  supervisor's own children, so that the process tree is the ordinary one.
- `GuardedProcess` guards one embedded server. Its guard starts the server as its own child and
  passes signals on, so that it never signals a pid that has passed to another process. It also
  inherits the lock on the data folder and holds it as long as the server lives.

`PR_SET_PDEATHSIG` alone would do less: it is Linux only, is not passed on to grandchildren (a
Celery pool), fires when the *thread* that started the child ends, although its process lives on,
and must be set between fork and exec, where a program with threads may run no Python. The guard of
a server has one thread, so it sets it for the case that the guard itself is killed.

The guards are this file, run as a script by a bare interpreter: it imports the standard library
alone, and of that only what starts quickly.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import IO, Final, NamedTuple, Self, TypedDict

SCRIPT: Final = Path(__file__)
PATIENCE_SECONDS: Final = 10.0  # from asking a server to end to killing it
_INPUT, _OUTPUT, _LOG = 0, 1, 2
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_POLL_SECONDS: Final = 0.05


class GroupGuard:
    """Held by the supervisor: each watched process group dies with it."""

    def __init__(self, *, grace: timedelta, discard: Path | None = None) -> None:
        """*grace* is the time between SIGTERM and SIGKILL; *discard* is deleted after them."""
        folder = "" if discard is None else str(discard)
        self._process = subprocess.Popen(
            _command("groups", str(grace.total_seconds()), folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,  # a reader of our output must not wait for the guard
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C in the terminal must not end it first
            cwd="/",
            env={},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the groups that are still watched, and the guard."""
        pipe = self._pipe()
        if not pipe.closed:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        self._process.wait()

    def watch(self, group: int) -> None:
        """From now on *group* (a process group, named by its leader's id) dies with us."""
        self._send(f"+{group}\n")

    def forget(self, group: int) -> None:
        """*group* has ended; another process may soon get its number."""
        self._send(f"-{group}\n")

    def _send(self, line: str) -> None:
        pipe = self._pipe()
        with contextlib.suppress(BrokenPipeError):  # the guard was killed: go on without it
            pipe.write(line.encode())
            pipe.flush()

    def _pipe(self) -> IO[bytes]:
        pipe = self._process.stdin
        assert pipe is not None, "opened with stdin=PIPE"
        return pipe


class CannotStart(Exception):
    """The system could not execute the command; the message says why."""


class Launch(NamedTuple):
    """What to start: where, as which user, and the signal that asks it to end.

    `lock` is a file descriptor that the guard holds as long as the process lives, so that the lock
    on a data folder outlasts a starter that was killed. `discard` is deleted when the starter has
    died.
    """

    command: list[str]
    environment: dict[str, str]
    folder: Path
    log: Path
    uid: int | None  # None: as the starter
    gid: int | None
    lock: int
    farewell: signal.Signals
    discard: Path | None


class GuardedProcess:
    """One running process that cannot outlive this one. Not shared between threads."""

    def __init__(self, launch: Launch) -> None:
        """Start it. Raises CannotStart when the system cannot execute it."""
        self._farewell = launch.farewell
        with launch.log.open("ab") as log:
            self._guard = subprocess.Popen(
                _command("process", json.dumps(_order(launch))),
                bufsize=0,
                cwd="/",
                env=launch.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=(launch.lock,),
                start_new_session=True,  # Ctrl-C is for us: the servers end last
            )
        assert self._guard.stdout is not None, "opened as a pipe above"
        with self._guard.stdout as output:
            report = output.readline().decode(errors="replace").strip()
        if not report.isdigit():
            self.wait(PATIENCE_SECONDS)
            problem = report.removeprefix("! ") or f"its guard ended; see {launch.log}"
            raise CannotStart(f"{launch.command[0]} cannot be started: {problem}")
        self.pid = int(report)

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._guard.poll() is not None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process; no effect when it has ended."""
        assert self._guard.stdin is not None, "opened as a pipe when it was started"
        try:
            os.write(self._guard.stdin.fileno(), bytes([number]))
        except BrokenPipeError:
            return

    def wait(self, seconds_max: float) -> None:
        """Return when the process is gone; raises subprocess.TimeoutExpired otherwise."""
        self._guard.wait(seconds_max)
        if self._guard.stdin is not None:
            self._guard.stdin.close()

    def end(self) -> None:
        """Ask the process to end, kill it if it does not, and return when it is gone."""
        if not self.ended:
            self.signal(self._farewell)
        try:
            self.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL the process, as a crash would, and return when it is gone."""
        if not self.ended:
            self.signal(signal.SIGKILL)
        self.wait(PATIENCE_SECONDS)


def _command(*arguments: str) -> list[str]:
    # -I -S: neither the environment nor site-packages, so it starts in a few milliseconds.
    return [sys.executable, "-I", "-S", str(SCRIPT), *arguments]


class _Order(TypedDict):
    """A launch as the guard reads it: JSON in an argument. No secrets: `ps` shows it."""

    command: list[str]
    folder: str
    uid: int | None
    gid: int | None
    farewell: int
    patience_seconds: float
    discard: str


def _order(launch: Launch) -> _Order:
    return _Order(
        command=launch.command,
        folder=str(launch.folder),
        uid=launch.uid,
        gid=launch.gid,
        farewell=launch.farewell,
        patience_seconds=PATIENCE_SECONDS,
        discard="" if launch.discard is None else str(launch.discard),
    )


# What follows runs in the guard


def _guard_groups(grace: float, discard: str) -> None:
    """Keep the list of groups while the pipe is open, then end those on it."""
    groups: set[int] = set()
    for line in sys.stdin:  # ends when the supervisor does
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    if not groups:
        return  # the supervisor ended them itself
    for group in groups:
        # The leader alone: a pool stops its own children.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(group, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while groups and time.monotonic() < deadline:
        groups = {group for group in groups if _is_alive(group)}
        time.sleep(_POLL_SECONDS)
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    _delete(discard)


def _is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _guard_process(order: _Order) -> int:
    """Start the process and guard it; return its exit code (128 + n when signal n ended it)."""
    wakeup, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        process = _start(order)
    except OSError as failure:
        os.write(_OUTPUT, f"! {failure}\n".encode())
        return 127
    os.write(_OUTPUT, f"{process.pid}\n".encode())
    os.close(_OUTPUT)
    if _outlives_starter(process, order, wakeup):
        _delete(order["discard"])
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def _start(order: _Order) -> subprocess.Popen[bytes]:
    guard = os.getpid()
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def die_with_the_guard() -> None:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, order["farewell"])
            if os.getppid() != guard:  # it was killed before the line above
                os._exit(1)

    return subprocess.Popen(
        order["command"],
        cwd=order["folder"],
        stdin=subprocess.DEVNULL,
        stdout=_LOG,
        user=order["uid"],
        group=order["gid"],
        extra_groups=None if order["uid"] is None else [],
        preexec_fn=die_with_the_guard,  # noqa: PLW1509 - this process has one thread
    )


def _outlives_starter(process: subprocess.Popen[bytes], order: _Order, wakeup: int) -> bool:
    """Pass signals on until the process has ended; return whether the starter died before that.

    Each byte of the input is the number of a signal. At its end the process gets its farewell, and
    SIGKILL if it does not end in time.
    """
    starter_lives = True
    deadline: float | None = None
    while process.poll() is None:
        pause = None if deadline is None else max(0.0, deadline - time.monotonic())
        sources = [wakeup, _INPUT] if starter_lives else [wakeup]
        ready, _, _ = select.select(sources, [], [], pause)
        if wakeup in ready:
            os.read(wakeup, 64)
        if _INPUT in ready:
            numbers = os.read(_INPUT, 64)
            for number in numbers:
                process.send_signal(number)
            if not numbers:
                starter_lives, deadline = False, time.monotonic() + order["patience_seconds"]
                process.send_signal(order["farewell"])
        if not ready:
            process.kill()
            deadline = None
    return not starter_lives


def _delete(folder: str) -> None:
    """Delete *folder*, if one is named; with `rm`, since importing shutil doubles the start-up."""
    if folder:
        subprocess.call(["/bin/rm", "-rf", "--", folder], stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["groups", grace, folder]:
            _guard_groups(float(grace), folder)
        case ["process", document]:
            sys.exit(_guard_process(json.loads(document)))
