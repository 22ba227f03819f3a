"""A command behind a stand-in is to its shell what it would be without one."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.stand_ins import commands_started_for, stand_in
from tests.support.wait import eventually

SHOW = "import os, sys; print(os.getcwd(), sys.argv, os.environ['GIVEN'], sys.stdin.read())"
LINES = {
    "what it is given": f"""cd / && printf 'é' | GIVEN='a  b' $RUN "{SHOW}" 'c  d' '' | cat""",
    "its code": "$RUN 'import sys; sys.exit(3)'; echo $?",
    "its errors": """$RUN 'raise SystemExit("no")' 2>&1; echo $?""",
    "its signal": "$RUN 'import os; os.kill(os.getpid(), 9)'; echo $?",
    "a reader that ends": "$RUN 'for _ in range(100_000): print(1)' 2>/dev/null | head -1",
    "in the background": "$RUN 'print(1)' & wait $!; echo $?",
}


@pytest.mark.parametrize("line", LINES)
def test_it_is_as_the_command_itself(open_folder, line):
    python = f"{sys.executable} -c"
    with commands_started_for(open_folder):
        shown = [
            subprocess.run(
                ["/bin/sh", "-c", LINES[line].replace("$RUN", run)],
                capture_output=True,
                check=False,
            )
            for run in (python, f"{stand_in(open_folder)} {python}")
        ]

    assert shown[0].stdout
    assert [each.stdout for each in shown[1:]] == [shown[0].stdout]
    assert shown[1].returncode == shown[0].returncode


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_the_command(open_folder, tmp_path, sign):
    ready = tmp_path / "ready"
    program = f"""
import pathlib, signal, sys, threading
for sign in (signal.SIGINT, signal.SIGTERM):
    signal.signal(sign, lambda number, _: sys.exit(number))
pathlib.Path({str(ready)!r}).touch()
threading.Event().wait()
"""
    words = [*stand_in(open_folder).split(), sys.executable, "-c", program]
    with commands_started_for(open_folder), subprocess.Popen(words) as process:
        eventually(ready.exists)
        process.send_signal(sign)
        assert process.wait(60) == sign


def test_what_is_still_there_is_killed_at_last(open_folder, tmp_path):
    noted = tmp_path / "pid"
    program = f"""
import os, pathlib, threading
pathlib.Path({str(noted)!r}).write_text(str(os.getpid()) + "!")
threading.Event().wait()
"""
    words = [*stand_in(open_folder).split(), sys.executable, "-c", program]
    with commands_started_for(open_folder), subprocess.Popen(words) as process:
        eventually(lambda: noted.exists() and noted.read_text().endswith("!"))
        process.kill()
        process.wait()
        pid = int(noted.read_text()[:-1])
        assert Path(f"/proc/{pid}").exists()

    assert not Path(f"/proc/{pid}").exists()
