"""A newcomer in a fresh checkout, who types what the pages say, line by line."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from tests.support.free_port import free_port
from tests.support.running_slipway import bare_environment
from tests.support.server_folders import passable_folder
from tests.support.sources import ROOT
from tests.support.stand_ins import commands_started_for, stand_in
from tests.support.terminals import Terminal, Workspace
from tests.support.wait import eventually

BLOCK = re.compile(r"```(sh|text)\n(.*?)```", re.DOTALL)
STAYS = re.compile(r"slipway (up|partner) ")  # keeps its terminal until Ctrl-C
START = ".venv/bin/slipway up --data ./data"
READY = {"up": "slipway | ready: ", "partner": "the partner listens at "}
START_MAX = timedelta(minutes=2)
LENT = ("9000", "9100")  # where tests run, these may be taken: each gets another
GATEWAY = "127.0.0.1:8000"
CHANGING = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z|127\.0\.0\.1:\d+"
)  # times, and the ports of a test
INSTALL = "npm install"
NO_NETWORK = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONN|ETIMEDOUT|network|E404|E403", re.IGNORECASE)
QUIETLY = f"{INSTALL} --no-audit --no-fund --ignore-scripts --prefer-offline --loglevel=error"


def blocks_of(page: str) -> list[tuple[str, str]]:
    """What is to be typed (`sh`) and seen (`text`), in the order of the page."""
    return BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


@dataclass(slots=True)
class Newcomer:
    """A reader with a checkout of their own."""

    harness: Workspace
    ports: dict[str, str]
    has_npm: bool
    seen_from: int = 0  # where on the screen the output of the last block begins
    has_slipway: bool = False  # at work in another terminal

    def follow(self, page: str) -> None:
        """Type each block, check each output, and end what keeps running with Ctrl-C."""
        with self.following(page):
            pass

    @contextmanager
    def following(self, page: str) -> Iterator[None]:
        """The same, but what the page has started keeps running until the block ends.

        A page that is followed in the block finds a Slipway, and starts no other.
        """
        with ExitStack() as terminals:
            main: Terminal | None = None
            for kind, block in blocks_of(page):
                text = self._here(block)
                stays = STAYS.search(text) if kind == "sh" else None
                if stays and stays[1] == "up" and self.has_slipway:
                    continue
                if kind == "sh":
                    self.seen_from = len(self.harness.screen)
                if kind == "text":
                    eventually(partial(self._shows, text))
                elif stays:
                    terminals.enter_context(self._staying(text, stays[1]))
                elif self.has_npm or INSTALL not in text:
                    main = main or terminals.enter_context(self.harness.terminal())
                    main.type(text)
            yield

    @contextmanager
    def _staying(self, block: str, program: str) -> Iterator[None]:
        """*block* at work in a terminal of its own, and ready."""
        with self.harness.occupied(block):
            eventually(partial(self._shows, READY[program]), within=START_MAX)
            self.has_slipway |= program == "up"
            yield
        self.has_slipway &= program != "up"

    def ask(self, line: str) -> str:
        """What another command prints, while Slipway runs."""
        done = subprocess.run(
            ["/bin/sh", "-ec", f". ./data/environment; {line}"],
            cwd=self.harness.home,
            env=dict(self.harness.environment),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def database_url(self) -> str:
        """The address of its PostgreSQL."""
        words = (self.harness.home / "data/environment").read_text()
        (url,) = re.findall(r"SLIPWAY_DATABASE_URL=(\S+)", words)
        return str(url).strip("'")

    def _here(self, text: str) -> str:
        """The lines with the ports of this test; nothing else is changed."""
        gateways = re.findall(r"ready: gateway http://([^,\s]+)", self.harness.screen)
        if gateways:
            text = text.replace(GATEWAY, gateways[-1])
        return with_ports(text, self.ports).replace(INSTALL, QUIETLY)

    def _shows(self, text: str) -> bool:
        """Whether each line of *text* is on the screen; `…` stands for anything."""
        screen = _plain(self.harness.screen[self.seen_from :])
        for line in text.splitlines():
            parts = _plain(line).split("…")
            match = re.search(".*".join(re.escape(part) for part in parts), screen)
            assert match, f"{line}\nis not in\n{screen}"
        return True


@contextmanager
def newcomer(*shell: str, has_npm: bool) -> Iterator[Newcomer]:
    """Clone the repository into a fresh folder and install what it needs, as a reader does."""
    with passable_folder() as home, commands_started_for(home):
        ports = {port: str(free_port()) for port in LENT}
        checkout(home, ports)
        environment = {**bare_environment(home), "PYTHONPATH": str(ROOT)}
        yield Newcomer(Workspace(home, environment, shell), ports, has_npm)


def checkout(home: Path, ports: dict[str, str]) -> None:
    """What the pages find: the files they name, and `.venv` as `make setup` leaves it."""
    for name in ("Makefile", "pyproject.toml", "requirements-dev.lock"):
        shutil.copy(ROOT / name, home)
    examples = home / "producers/examples"
    shutil.copytree(ROOT / "producers/examples", examples, ignore=shutil.ignore_patterns("node_m*"))
    operators = examples / "operators.yaml"
    operators.write_text(with_ports(operators.read_text(), ports))
    programs = home / ".venv/bin"
    programs.mkdir(parents=True)
    slipway = f"{stand_in(home)} {sys.executable} -c 'from worker.cli import main; main()'"
    for name, start in (("python", sys.executable), ("slipway", slipway)):
        (programs / name).write_text(f'#!/bin/sh\nexec {start} "$@"\n')
        (programs / name).chmod(0o755)
    (home / ".venv/.installed").touch()  # younger than what it is made from


def with_ports(text: str, ports: dict[str, str]) -> str:
    """*text*, with ports of the machine's choice for those of the pages."""
    for port, lent in ports.items():
        text = re.sub(rf"(:|--port ){port}\b", rf"\g<1>{lent}", text)
    return text


def _plain(text: str) -> str:
    return re.sub(r" {2,}", " ", CHANGING.sub("#", text))
