"""One running process of the supervisor: its group, its output, its end."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from worker.local.orphan_guard import GroupGuard
from worker.local.supervisor.procfile import ProcessLine

LINE_BYTES_MAX = 64 * 1024  # a longer line is shown in pieces
READ_BYTES_MAX = 64 * 1024
LAST_READS_MAX = 64  # a pipe holds no more
# Waits until the guard watches it, so that the supervisor's death at no moment leaves it behind;
# then becomes the program itself, so that signals reach the program and not a shell.
START_WHEN_TOLD = 'read -r _go && exec </dev/null && eval "exec $0"'


class Child:
    """A process in a session of its own: a terminal's Ctrl-C reaches the supervisor only."""

    def __init__(
        self, line: ProcessLine, *, environment: Mapping[str, str], folder: Path, guard: GroupGuard
    ) -> None:
        """Start *line* in *folder*."""
        self._guard = guard
        self._rest = b""
        self.output_ended = False
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", START_WHEN_TOLD, line.command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=folder,
            env=dict(environment),
        )
        assert self._process.stdin is not None, "opened with stdin=PIPE"
        assert self._process.stdout is not None, "opened with stdout=PIPE"
        self._output = self._process.stdout
        os.set_blocking(self._output.fileno(), False)
        guard.watch(self.id)
        with contextlib.suppress(BrokenPipeError):  # it has ended already: see `code`
            self._process.stdin.write(b"go\n")
            self._process.stdin.close()

    @property
    def id(self) -> int:
        """The process id, and the number of its group."""
        return self._process.pid

    def fileno(self) -> int:
        """Return the descriptor of its output, for a selector."""
        return self._output.fileno()

    def code(self) -> int | None:
        """Return its exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def lines(self) -> Iterator[str]:
        """Return the complete lines it has written since the last call. Never waits."""
        try:
            output = os.read(self._output.fileno(), READ_BYTES_MAX)
        except BlockingIOError:
            return
        self.output_ended = not output
        *whole, self._rest = (self._rest + output).split(b"\n")
        if len(self._rest) > LINE_BYTES_MAX:
            whole.append(self._rest)
            self._rest = b""
        for line in whole:
            yield line.decode(errors="replace").rstrip("\r")

    def terminate(self) -> None:
        """Send SIGTERM to the program alone: a pool stops its own children."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.id, signal.SIGTERM)

    def finish(self) -> Iterator[str]:
        """End what is left of its group, reap it, and return its last lines.

        Must be called once for every child; afterwards the guard no longer watches it.
        """
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.id, signal.SIGKILL)
        self._process.wait()
        self._guard.forget(self.id)
        for _ in range(LAST_READS_MAX):
            before = self._rest
            last = list(self.lines())
            yield from last
            if self.output_ended or (not last and self._rest == before):
                break
        if self._rest:
            yield self._rest.decode(errors="replace")
        self._output.close()
