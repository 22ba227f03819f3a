"""Keep one server on a leash: when its starter is gone, however it ended, the server ends too.

A program of its own, run by :mod:`worker.local.servers.guarded` with nothing but the standard
library. It starts the server as its child, reports the pid on its output, and reads from its
input: every byte is the number of a signal for the server; the end of the input means that nobody
holds the other end any more, and the server gets its farewell signal, then SIGKILL if it stays.

Why a process in between, and not just `PR_SET_PDEATHSIG` on the server: that one fires when the
*thread* that started it ends, although its process lives on, and it must be set between fork and
exec, where a program with threads may run no Python. A pipe knows neither trouble: the kernel
closes the starter's end with the starter, SIGKILL included. The leash itself has one thread and
lives as long as the server, so it may use the death signal, for the case that the leash is killed.
As the server's parent it also never signals a pid that has passed to another process.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import TypedDict

INPUT, OUTPUT, LOG = 0, 1, 2
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Order(TypedDict):
    """What the starter wants, as JSON in the first argument. No secrets: `ps` shows it."""

    command: list[str]
    folder: str  # the server's working folder
    uid: int | None  # None: as the leash itself
    gid: int | None
    farewell: int  # the signal that asks the server to end
    patience_seconds: float  # from the farewell to SIGKILL
    discard: str | None  # a folder to delete when the starter is gone without clearing up


def main() -> int:
    """Start, watch, and return what the server returned (128 + n when signal n ended it)."""
    order: Order = json.loads(sys.argv[1])
    awake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        server = _start(order)
    except OSError as failure:
        os.write(OUTPUT, f"! {failure}\n".encode())
        return 127
    os.write(OUTPUT, f"{server.pid}\n".encode())
    os.close(OUTPUT)
    abandoned = _watch(server, order, awake)
    if abandoned and order["discard"] is not None:
        import shutil  # noqa: PLC0415 - needed only here, and it doubles the leash's start-up

        shutil.rmtree(order["discard"], ignore_errors=True)
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


def _start(order: Order) -> subprocess.Popen[bytes]:
    leash = os.getpid()
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def die_with_the_leash() -> None:
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, order["farewell"])
            if os.getppid() != leash:  # it was killed before the line above
                os._exit(1)

    return subprocess.Popen(
        order["command"],
        cwd=order["folder"],
        stdin=subprocess.DEVNULL,
        stdout=LOG,
        user=order["uid"],
        group=order["gid"],
        extra_groups=None if order["uid"] is None else [],
        preexec_fn=die_with_the_leash,  # noqa: PLW1509 - this process has one thread
    )


def _watch(server: subprocess.Popen[bytes], order: Order, awake: int) -> bool:
    """Pass signals on until the server has ended; True when the starter let go before that."""
    held = True
    deadline: float | None = None
    while server.poll() is None:
        pause = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([awake, INPUT] if held else [awake], [], [], pause)
        if awake in ready:
            os.read(awake, 64)
        if INPUT in ready:
            numbers = os.read(INPUT, 64)
            for number in numbers:
                server.send_signal(number)
            if not numbers:
                held, deadline = False, time.monotonic() + order["patience_seconds"]
                server.send_signal(order["farewell"])
        if not ready:
            server.kill()
            deadline = None
    return not held


if __name__ == "__main__":
    sys.exit(main())
