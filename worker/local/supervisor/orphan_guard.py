"""Ends the processes of a supervisor that was killed and could not end them itself.

A process of its own holds the reading end of a pipe whose writing end only the supervisor has. The
kernel closes that end however the supervisor dies, SIGKILL included; then everything still on the
leash gets SIGTERM, and after a grace SIGKILL, whole groups at once. PR_SET_PDEATHSIG would do less:
it is Linux only, is not passed on to grandchildren (a Celery pool), and fires when the *thread*
that started the child ends.

This file is run as a script by a bare interpreter: it imports nothing of ours.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import IO, Self


class Leash:
    """Held by the supervisor. While it is held, each group on it dies with the supervisor."""

    def __init__(self, *, grace: timedelta, discard: Path | None = None) -> None:
        """*grace* lies between SIGTERM and SIGKILL; *discard* is deleted when they were needed."""
        self._watcher = subprocess.Popen(
            # -I -S: neither the environment nor site-packages, so it starts in a few milliseconds.
            [
                *(sys.executable, "-I", "-S", __file__),
                *(str(grace.total_seconds()), "" if discard is None else str(discard)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,  # nobody who reads ours should wait for it
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
        """Let go; what is still on the leash is ended now."""
        pipe = self._pipe()
        if not pipe.closed:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        self._watcher.wait()

    def put_on(self, group: int) -> None:
        """From now on *group* (a process group, named by its leader's id) dies with us."""
        self._tell(f"+{group}\n")

    def take_off(self, group: int) -> None:
        """*group* is gone; its number may soon belong to a stranger."""
        self._tell(f"-{group}\n")

    def _tell(self, word: str) -> None:
        pipe = self._pipe()
        with contextlib.suppress(BrokenPipeError):  # somebody killed the watcher: go on without
            pipe.write(word.encode())
            pipe.flush()

    def _pipe(self) -> IO[bytes]:
        pipe = self._watcher.stdin
        assert pipe is not None, "opened with stdin=PIPE"
        return pipe


def _watch(grace: float, discard: str) -> None:
    """Keep the list while the pipe is open, then end what is on it."""
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
        # The leader alone: a pool's children are its own to stop.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(group, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while groups and time.monotonic() < deadline:
        groups = {group for group in groups if _lives(group)}
        time.sleep(0.05)
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    if discard:
        import shutil  # noqa: PLC0415 - needed only here, and it doubles the start-up

        shutil.rmtree(discard, ignore_errors=True)


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    _watch(float(sys.argv[1]), sys.argv[2])
