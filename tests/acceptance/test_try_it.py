"""The page *Try it*, followed to the letter: its commands, and what it says one sees."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.closed_port import closed_port
from tests.support.places import passable_folder
from tests.support.running_slipway import bare_environment
from tests.support.sources import ROOT
from tests.support.wait import eventually

PAGE = (ROOT / "producers/TRY.md").read_text(encoding="utf-8")
STEPS = re.findall(r"```(sh|text)\n(.*?)```", PAGE, re.DOTALL)
PROGRAM = f"#!{sys.executable}\nfrom worker.cli import main\nmain()\n"
SERVERS = ". ./data/environment"  # the page says it once a terminal; here each block has its own
CHANGING = re.compile(r"\d\d:\d\d:\d\d\.\d+|127\.0\.0\.1:\d+")  # times, and the ports of a test


@pytest.mark.slow
def test_who_follows_the_page_sees_what_it_says():
    """Only the ports are not the page's: where tests run, they may be taken."""
    port = f":{closed_port()}"
    (_, start), (_, ready), (_, partner), *steps = STEPS
    with passable_folder() as home:
        checkout(home)
        with terminal(home, start) as slipway:
            see(home, ready)
            with terminal(home, partner.replace(" 9000", f" {port[1:]}")):
                for kind, text in steps:
                    if kind == "sh":
                        follow(home, text.replace(":9000", port))
                    else:
                        see(home, text)

    assert slipway.returncode == 0


def test_the_page_begins_with_two_terminals_that_stay_open():
    assert [kind for kind, _ in STEPS[:4]] == ["sh", "text", "sh", "sh"]
    assert STEPS[3][1].startswith(SERVERS)


def checkout(home: Path) -> None:
    """What the page finds: `.venv`, and the examples."""
    programs = home / ".venv/bin"
    programs.mkdir(parents=True)
    (programs / "slipway").write_text(PROGRAM)
    (programs / "slipway").chmod(0o755)
    (programs / "python").symlink_to(sys.executable)
    (home / "producers").symlink_to(ROOT / "producers")


@contextmanager
def terminal(home: Path, block: str) -> "Iterator[subprocess.Popen[bytes]]":
    """A terminal in which *block* stays at work until it is ended."""
    with (
        (home / "screens").open("ab") as screen,
        subprocess.Popen(
            ["/bin/sh", "-ec", f"trap : TERM; {block}"],  # so that its code is the program's
            cwd=home,
            env={**bare_environment(home), "PYTHONPATH": str(ROOT)},
            stdout=screen,
            stderr=screen,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGTERM)


def follow(home: Path, block: str) -> None:
    """Run *block* to its end, in a terminal that knows the servers."""
    with (home / "screens").open("ab") as screen:
        done = subprocess.run(
            ["/bin/sh", "-ec", f"{SERVERS}\n{block}"],
            cwd=home,
            env={**bare_environment(home), "PYTHONPATH": str(ROOT)},
            stdout=screen,
            stderr=screen,
            check=False,
        )
    assert done.returncode == 0, (home / "screens").read_text()


def see(home: Path, text: str) -> None:
    """Wait until each line of *text* is on one of the screens; `…` stands for anything."""
    wanted = [
        re.compile(".*".join(re.escape(part) for part in CHANGING.sub("#", line).split("…")))
        for line in text.splitlines()
    ]

    def shown() -> bool:
        screens = CHANGING.sub("#", (home / "screens").read_text())
        assert all(line.search(screens) for line in wanted), f"{text}\nis not in\n{screens}"
        return True

    eventually(shown)
