"""A forked program and an executed one are the same, for all that a test can see of them."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.support import fork_server
from tests.support.celery_process import environment
from tests.support.fork_server import ROOT, ForkServer, Popen, Start
from tests.support.processes import catches
from tests.support.procfile_processes import LINES, Running
from tests.support.wait import eventually

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all is executed")
pytestmark = [pytest.mark.slow, needs_linux]
FACTS = """
import atexit, gc, json, locale, os, re, resource, signal, sys, tempfile, threading, warnings
with open("/proc/self/status") as file:
    status = file.read()
atexit.register(print, "at the end")
print(json.dumps({
    "arguments": [sys.argv, sys.orig_argv, sys.path, sys.flags, sys.warnoptions],
    "filters": [repr(filter) for filter in warnings.filters],
    "environment": {**os.environ},
    "folders": [os.getcwd(), tempfile.gettempdir()],
    "parent": os.getppid(),
    "own session": os.getsid(0) == os.getpid(),
    "group": os.getpgrp() == os.getpid() or os.getpgrp(),
    "status": re.findall(r"^(?:Umask|Uid|Groups|Sig(?:Blk|Ign|Cgt)|Threads):.*$", status, re.M),
    "open": [os.path.realpath(f"/proc/self/fd/{number}") for number in (0, 1, 2)],
    "descriptors": len(os.listdir("/proc/self/fd")),
    "streams": [repr(stream) for stream in (sys.stdin, sys.stdout, sys.stderr)],
    "buffered": [stream.line_buffering for stream in (sys.stdin, sys.stdout, sys.stderr)],
    "locale": [locale.setlocale(locale.LC_ALL), locale.getlocale(), sys.getfilesystemencoding()],
    "limits": [resource.getrlimit(limit) for limit in range(16)] + [os.nice(0)],
    "collector": [gc.isenabled(), gc.get_threshold()],
    "main": [__name__, sorted(set(globals()) - {"serve"})],
    "interrupt": repr(signal.getsignal(signal.SIGINT)),
    "typed": sys.stdin.read(),
}))
sys.stderr.write("said")
sys.exit(7)
"""
ENDS = {
    "code": "import sys; sys.exit(3)",
    "sentence": "import sys; sys.exit('no')",
    "error": "print('before'); raise ValueError('what is wrong')",
    "interrupt": "raise KeyboardInterrupt",
    "signal": "import os; os.kill(os.getpid(), 9)",
    "abort": "import os; os.abort()",
    "thread": "import threading as t; t.Timer(0.1, print, ['late']).start(); print('soon')",
    "warning": "import warnings; warnings.warn('mind', DeprecationWarning); open('/dev/null')",
    "reader": "import os; os.close(1); print('lost')",
}
COMMANDS = {
    "help": "",
    "wrong": "publishd",
    "migrate": "migrate",
    "refused": "operators show nobody",
    "doctor": "doctor --json",
}
BOTH_WAYS: tuple[type[subprocess.Popen[bytes]], ...] = (subprocess.Popen, Popen)
SLIPWAY = "from worker.cli import main; main()"
PORTS = {f"{name}_port": "0" for name in ("gateway", "console", "flower")}
CHANGING = re.compile(rb"\d+")


@pytest.fixture
def forks_all(monkeypatch) -> None:
    """Code given with -c is forked, too."""
    monkeypatch.setattr(fork_server, "_KNOWN", (("-c",),))


def both(
    words: list[str], *, env: dict[str, str], typed: bytes = b"", new_session: bool = False
) -> Iterator[tuple[int, bytes, bytes]]:
    """Code, output and errors when it is executed, and when it is forked."""
    for start in BOTH_WAYS:
        with start(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env=env,
            start_new_session=new_session,
        ) as process:
            out, errors = process.communicate(typed)
        yield process.returncode, out, errors


def is_forked(pid: int) -> bool:
    return b"forked_programs" in Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.usefixtures("forks_all")
@pytest.mark.parametrize("new_session", [False, True])
@pytest.mark.parametrize("warned", [{}, {"PYTHONWARNINGS": "default"}], ids=["quiet", "warned"])
def test_it_finds_the_same_around_it(tmp_path, warned, new_session):
    env = {**os.environ, "TMPDIR": str(tmp_path), "SLIPWAY_STREAM": "Größe", **warned}
    words = [sys.executable, "-c", FACTS, "first", "--second", ""]
    mask = os.umask(0o027)
    try:
        executed, forked = both(words, typed="é\n".encode(), env=env, new_session=new_session)
    finally:
        os.umask(mask)

    assert (executed[0], executed[2]) == (forked[0], forked[2]) == (7, b"said")
    first, *rest = executed[1].splitlines()
    first_forked, *rest_forked = forked[1].splitlines()
    assert rest == rest_forked == [b"at the end"]
    facts, forked_facts = json.loads(first), json.loads(first_forked)
    for seen in (facts, forked_facts):
        assert all(is_pipe(name) for name in seen.pop("open"))
        assert seen["parent"] == os.getpid()
    filters, own = forked_facts.pop("filters"), facts.pop("filters")
    assert filters[-len(own) :] == own, "before them are those of the modules"
    assert forked_facts == facts


def is_pipe(name: str) -> bool:
    return re.search(r"pipe:\[\d+\]$", name) is not None


@pytest.mark.usefixtures("forks_all")
@pytest.mark.parametrize("end", ENDS)
def test_it_ends_as_an_executed_one(end):
    env = {**os.environ, "PYTHONWARNINGS": "default"}
    executed, forked = both([sys.executable, "-c", ENDS[end]], env=env)

    assert forked[:2] == executed[:2]
    assert forked[2].splitlines()[-1:] == executed[2].splitlines()[-1:]


@pytest.mark.usefixtures("forks_all")
def test_it_is_stopped_continued_and_killed_as_any_process():
    with Popen[bytes](
        [sys.executable, "-c", "print(flush=True); import time; time.sleep(600)"],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert is_forked(process.pid)
        process.send_signal(signal.SIGSTOP)
        eventually(lambda: os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOHANG))
        process.send_signal(signal.SIGCONT)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert not Path(f"/proc/{process.pid}").exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_prints_the_same(database, redis_url, tmp_path, name):
    env = environment(tmp_path, database_url=database, redis_url=redis_url)
    words = [sys.executable, "-c", SLIPWAY, *COMMANDS[name].split()]

    executed, forked = (
        (code, CHANGING.sub(b"#", out), CHANGING.sub(b"#", errors))
        for code, out, errors in both(words, env=env)
    )

    assert forked == executed


def test_each_kind_of_process_starts_and_ends_in_the_same_way(database, redis_url, tmp_path):
    """Each is executed and forked, all side by side."""
    running: dict[tuple[str, bool], Running] = {}
    with ExitStack() as ending:
        for forked, start in enumerate(BOTH_WAYS):
            for name in LINES:
                folder = tmp_path / f"{name}-{forked}"
                folder.mkdir()
                env = environment(folder, database_url=database, redis_url=redis_url, **PORTS)
                process = Running(name, env=env, folder=folder, number=1 + forked, start=start)
                ending.callback(process.kill)
                running[name, bool(forked)] = process
        assert [key for key, each in running.items() if is_forked(each.pid) is not key[1]] == []
        eventually(lambda: all(works(process) for process in running.values()))
        for process in running.values():
            process.tell_to_end()
        codes = {key: process.code() for key, process in running.items()}

    for name in LINES:
        assert codes[name, True] == codes[name, False]
        assert said(running[name, True]) == said(running[name, False])


def works(process: Running) -> bool:
    """Whether it has begun, and would end by SIGTERM in its own way."""
    process.must_live()
    if process.name in ("intake", "deliver", "sweep"):
        return "worker_ready" in process.wrote()
    return catches(process.pid, signal.SIGTERM)


def said(process: Running) -> set[str]:
    """What it logged; but not what Flower finds or does not find in its first second."""
    lines = [line for line in process.wrote().splitlines() if "flower.inspector" not in line]
    return {json.loads(line)["event"] if line.startswith("{") else line for line in lines}


def test_what_it_starts_is_forked_and_ends_with_it(database, redis_url, tmp_path):
    """`slipway up`, killed: neither its processes nor what forked them outlives it."""
    env = environment(tmp_path, database_url=database, redis_url=redis_url, **PORTS)
    with (
        (tmp_path / "screen").open("wb") as screen,
        Popen[bytes](
            [sys.executable, "-c", SLIPWAY, "up"], cwd=ROOT, env=env, stdout=screen, stderr=screen
        ) as up,
    ):
        try:
            alike = what_it_was_started_with(up.pid)
            eventually(lambda: "slipway | ready: " in (tmp_path / "screen").read_text())
            at_work = processes(alike)
        finally:
            up.kill()

    assert len(at_work) >= len(["it", "what forks it", "what forks for it", *LINES])
    eventually(lambda: len(processes(alike)) == 1)


def processes(alike: tuple[bytes, bytes]) -> list[int]:
    """What has been forked from one process, itself included."""
    these = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile, or is another user's
            if what_it_was_started_with(int(entry.name)) == alike:
                these.append(int(entry.name))
    return these


def what_it_was_started_with(pid: int) -> tuple[bytes, bytes]:
    place = Path(f"/proc/{pid}")
    return (place / "cmdline").read_bytes(), (place / "environ").read_bytes()


def test_with_an_option_of_python_it_is_executed(tmp_path):
    env = environment(tmp_path, database_url="", redis_url="") | {"PYTHONUTF8": "0"}
    with Popen[bytes](
        [sys.executable, "-c", SLIPWAY, "publish", "-"], cwd=ROOT, env=env, stdin=subprocess.PIPE
    ) as process:
        assert is_forked(process.pid) is False
        process.kill()


def test_if_nothing_can_be_loaded_that_is_said(tmp_path):
    (tmp_path / "celery.py").write_text("raise ImportError('it is broken')")
    server = ForkServer({**os.environ, "PYTHONPATH": str(tmp_path)})
    start = Start([], {}, "/", mask=0o022, new_session=False, when_told=False)
    try:
        with pytest.raises(RuntimeError, match="it is broken"):
            server.fork(start, [0, 1, 2])
    finally:
        server.close()
