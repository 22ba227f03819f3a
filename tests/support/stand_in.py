"""Runs a command in the place of a program that a shell has started: see `stand_ins`.

    python -S -E tests/support/stand_in.py SOCKET COMMAND...

It hands on what it was given, passes signals on, and ends as the command does.
"""

import json
import os
import signal
import socket
import sys

PASSED_ON = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM}


def main() -> None:
    """Wait for the end of the command; be ended by the signal that ended it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
        line.connect(sys.argv[1])
        folder = os.getcwd()  # noqa: PTH109 - pathlib would take longer to load than all the rest
        given = {"words": sys.argv[2:], "environment": {**os.environ}, "folder": folder}
        socket.send_fds(line, [json.dumps(given).encode()], [0, 1, 2])
        pid = int(line.recv(32))
        for sign in PASSED_ON:
            if signal.getsignal(sign) is not signal.SIG_IGN:
                signal.signal(sign, lambda number, _: os.kill(pid, number))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
        code = int(line.recv(32))
    if code < 0:
        if -code in PASSED_ON:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main()
