"""Starts for a shell what it calls `slipway`, so that the fork server can fork it.

The shell starts `stand_in.py`, a small program that hands on its arguments, environment, folder,
input and output, passes on signals, and ends as the command does. It takes a twentieth of the time.
"""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.support.fork_server import MESSAGE_BYTES_MAX, Popen

PROGRAM = Path(__file__).with_name("stand_in.py")


def stand_in(home: Path) -> str:
    """What a shell calls before the command's own words."""
    return f"{sys.executable} -S -E {PROGRAM} {_place(home)}"


@contextmanager
def commands_started_for(home: Path) -> Iterator[None]:
    """Start what stand-ins ask for until the block ends; what is still there then is killed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener, ExitStack() as ending:
        listener.bind(str(_place(home)))
        listener.listen()
        accepting = threading.Thread(target=_accept, args=(listener, ending))
        accepting.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()


def _place(home: Path) -> Path:
    return home / ".venv.socket"


def _accept(listener: socket.socket, ending: ExitStack) -> None:
    while True:
        try:
            line, _ = listener.accept()
        except OSError:  # nobody will ask any more
            return
        with ExitStack() as given_up:
            given_up.enter_context(line)
            message, descriptors, _, _ = socket.recv_fds(line, MESSAGE_BYTES_MAX, 3)
            for descriptor in descriptors:
                given_up.callback(os.close, descriptor)
            if not message:  # the stand-in was killed
                continue
            process = _start(json.loads(message), descriptors)
            thread = threading.Thread(target=_wait, args=(process, line.dup()))
            thread.start()
            ending.callback(thread.join)
            ending.callback(process.kill)


def _start(given: Mapping[str, Any], descriptors: Sequence[int]) -> "subprocess.Popen[bytes]":
    stdin, stdout, stderr = descriptors
    return Popen[bytes](
        given["words"],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        cwd=given["folder"],
        env=given["environment"],
        start_new_session=True,
    )


def _wait(process: "subprocess.Popen[bytes]", line: socket.socket) -> None:
    """Tell the stand-in which process it stands for, and how that ended."""
    with line, suppress(BrokenPipeError):  # the stand-in was killed
        line.send(str(process.pid).encode())
        line.send(str(process.wait()).encode())
    process.wait()
