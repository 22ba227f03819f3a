"""The supervisor with small real processes: it restarts, stops cleanly, leaves nothing behind."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.wait import eventually
from worker.local.supervisor.procfile import ProcessLine
from worker.local.supervisor.runner import Stop, Supervisor

ROOT = Path(__file__).parents[2]
# Writes its id, and ends by SIGTERM after a last word.
POLITE = """trap 'echo bye; exit 0' TERM; echo "id $$"; while :; do sleep 0.05; done"""
STUBBORN = """trap '' TERM; echo "id $$"; while :; do sleep 0.05; done"""


class Screen:
    """Collects the lines that the supervisor writes, as it writes them."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, name: str, text: str) -> None:
        self.lines.append((name, text))

    def of(self, name: str) -> list[str]:
        return [text for who, text in self.lines if who == name]

    def ids(self, name: str) -> list[int]:
        return [int(t.removeprefix("id ")) for t in self.of(name) if t.startswith("id ")]


def is_alive(process: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
        return stat.rsplit(")", 1)[1].split()[0] != "Z"  # dead, and not yet reaped by its adopter
    return False


def script(folder: Path, name: str, text: str) -> ProcessLine:
    (folder / name).write_text(text, encoding="utf-8")
    return ProcessLine(name, f"/bin/sh {name}")


def supervisor(
    folder: Path, screen: Screen, *, grace: timedelta = timedelta(seconds=60)
) -> Supervisor:
    return Supervisor(environment=dict(os.environ), folder=folder, write_line=screen, grace=grace)


@contextmanager
def running(supervisor: Supervisor, *lines: ProcessLine) -> Iterator[Stop]:
    stop = Stop()
    thread = threading.Thread(target=supervisor.run, args=(lines,), kwargs={"stop": stop})
    thread.start()
    try:
        yield stop
    finally:
        stop.request()
        thread.join()


@pytest.fixture
def screen() -> Screen:
    return Screen()


def test_a_process_that_dies_is_started_again(tmp_path, screen):
    with running(supervisor(tmp_path, screen), script(tmp_path, "polite", POLITE)):
        eventually(lambda: screen.ids("polite"))
        os.kill(screen.ids("polite")[0], signal.SIGKILL)
        eventually(lambda: len(screen.ids("polite")) == 2)

    assert "ended with SIGKILL; starting it again" in screen.of("polite")
    assert "bye" in screen.of("polite")
    assert not any(map(is_alive, screen.ids("polite")))


def test_who_ignores_the_order_to_stop_is_killed_after_the_grace(tmp_path, screen):
    brief = supervisor(tmp_path, screen, grace=timedelta(seconds=0.3))
    with running(brief, script(tmp_path, "stubborn", STUBBORN)):
        eventually(lambda: screen.ids("stubborn"))

    assert screen.of("stubborn")[-1] == "did not end in time and is killed"
    assert not any(map(is_alive, screen.ids("stubborn")))


def test_a_second_order_to_stop_does_not_wait_for_the_grace(tmp_path, screen):
    patient = supervisor(tmp_path, screen, grace=timedelta(hours=1))
    with running(patient, script(tmp_path, "stubborn", STUBBORN)) as stop:
        eventually(lambda: screen.ids("stubborn"))
        stop.request()

    assert not any(map(is_alive, screen.ids("stubborn")))


def test_a_process_to_its_end_gives_its_exit_code_and_all_its_lines(tmp_path, screen):
    line = script(tmp_path, "release", "seq 1 20000; printf 'no end of line'; exit 3")

    code = supervisor(tmp_path, screen).run_to_end(line, stop=Stop())

    assert code == 3
    assert screen.of("release") == [*map(str, range(1, 20001)), "no end of line"]


def test_nothing_outlives_a_supervisor_that_was_killed(tmp_path):
    """SIGKILL cannot be caught: the guard ends the group, a stubborn grandchild included."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (tmp_path / "parent").write_text(
        'sh -c \'trap "" TERM; echo "id $$"; while :; do sleep 0.05; done\' & echo "id $$"; wait',
        encoding="utf-8",
    )
    program = (
        "import os, sys; from datetime import timedelta; from pathlib import Path\n"
        "from worker.local.supervisor.procfile import ProcessLine\n"
        "from worker.local.supervisor.runner import Stop, Supervisor\n"
        "Supervisor(environment=dict(os.environ), folder=Path(sys.argv[1]),\n"
        "    write_line=lambda name, text: print(text, flush=True), grace=timedelta(seconds=0.3),\n"
        "    discard=Path(sys.argv[1], 'scratch'),\n"
        ").run([ProcessLine('parent', '/bin/sh parent')], stop=Stop())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT, text=True
    ) as killed:
        assert killed.stdout is not None
        ids = [int(killed.stdout.readline().removeprefix("id ")) for _ in range(2)]
        killed.kill()

    eventually(lambda: not any(map(is_alive, ids)))
    eventually(lambda: not scratch.exists())
