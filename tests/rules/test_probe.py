"""The image's probe: ready tells the truth, alive never restarts for what a restart cannot fix."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.closed_port import closed_port
from tests.support.sources import ROOT

PROBE = ROOT / "deploy/image/probe.py"
HOUR = 3600

Files = dict[str, int]  # their ages in seconds, by name
Ask = Callable[..., tuple[int, str]]

FRESH: Files = {"intake@a.alive": 1, "intake@a.ready": HOUR, "intake@a.stream.alive": 1}


@pytest.fixture
def ask(tmp_path: Path, servers) -> Ask:
    """Ask about a process whose files have these ages; Redis answers unless told otherwise."""

    def asked(question: str, process: str, files: Files, **settings: str) -> tuple[int, str]:
        folder = tmp_path / f"slipway-{os.getuid()}"
        folder.mkdir(exist_ok=True)
        for name, age in files.items():
            (folder / name).touch()
            os.utime(folder / name, (time.time() - age,) * 2)
        given = {"redis_url": servers.redis_url, **settings}
        done = subprocess.run(
            [sys.executable, PROBE, question, process],
            env={
                "TMPDIR": str(tmp_path),
                **{f"SLIPWAY_{name.upper()}": value for name, value in given.items()},
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == ""
        return done.returncode, done.stdout

    return asked


@pytest.mark.parametrize("question", ["alive", "ready"])
def test_a_worker_whose_files_are_fresh_is_both(ask, question):
    assert ask(question, "intake", FRESH) == (0, f"intake is {question}\n")


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({"intake@a.alive": 1, "intake@a.stream.alive": 1}, "it is starting or stopping"),
        (FRESH | {"intake@a.alive": 31}, "the maximum is 30 s"),
        (FRESH | {"intake@a.stream.alive": 61}, "the maximum is 60 s"),
        ({}, "intake@*.alive does not exist"),
    ],
)
def test_a_worker_that_takes_no_work_is_not_ready(ask, files, fault):
    code, output = ask("ready", "intake", files)

    assert (code, fault in output) == (1, True), output


def test_a_worker_that_is_not_ready_may_be_alive(ask):
    assert ask("alive", "sweep", {"sweep@a.alive": 599}) == (0, "sweep is alive\n")


@pytest.mark.parametrize(
    ("process", "files"),
    [
        ("sweep", {"sweep@a.alive": 601}),
        ("deliver", {}),
        ("intake", FRESH | {"intake@a.stream.alive": 61}),
        ("beat", {"beat.alive": 61}),
    ],
)
def test_a_loop_that_stands_still_is_restarted_but_never_while_redis_is_away(ask, process, files):
    """A worker's loop rests while Redis is unavailable, and its file grows old."""
    closed = f"redis://127.0.0.1:{closed_port()}/0"

    code, output = ask("alive", process, files)
    away, unreachable_output = ask("alive", process, files, broker_url=closed)
    still_away, _ = ask("alive", process, files, redis_url=closed, broker_url="")

    assert (code, away, still_away) == (1, 0, 0)
    assert "the maximum is" in output or "does not exist" in output
    assert unreachable_output.startswith("Redis does not answer, so a restart would not help:")


def test_the_stream_s_file_does_not_stand_in_for_the_loop_s(ask):
    """Its name ends like the other's; a host may be called `stream`, too."""
    code, output = ask("ready", "intake", FRESH | {"intake@a.alive": 40})

    assert (code, "intake@*.alive is 40 s old" in output) == (1, True)
    assert ask("ready", "intake", {"intake@stream.ready": 1, "intake@stream.alive": 1})[0] == 0


def test_a_gateway_that_does_not_answer_is_neither(ask):
    port = str(closed_port())

    for question in ("alive", "ready"):
        code, output = ask(question, "gateway", {}, gateway_port=port)
        assert (code, "does not answer" in output) == (1, True)


def test_a_command_that_is_no_process_is_well_while_it_runs(ask):
    assert ask("alive", "--help", {})[0] == 0


def test_wrong_words_are_answered_with_the_right_ones(ask):
    code, output = ask("well", "intake", FRESH)

    assert code == 2
    assert output.startswith("usage: probe alive|ready")
