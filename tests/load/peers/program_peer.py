"""A peer's program, once for each core, in the peers' own environment."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Engine, TextClause, create_engine, make_url, text

from tests.load.environment import BenchEnvironment
from tests.load.peers import installed
from tests.load.peers.contender import AtWork, Counted
from tests.load.sink import Sink
from tests.support import databases
from tests.support.celery_process import ROOT

PARTS = 2
ENDING_MAX = timedelta(seconds=20)
PROGRAMS = "tests.load.peers.programs"
LOG_TAIL_CHARACTERS = 3_000


class ProgramPeer:
    """A peer that settles, notifies and keeps timers in the same PostgreSQL.

    *way* is what its program is told besides its part. *counted*: a question for how many tickets
    it has settled, how many notices it has recorded as told, and how many timers wait for another
    23 hours or more.
    """

    def __init__(
        self, name: str, *, program: str, way: str, packages: tuple[str, ...], counted: str
    ) -> None:
        self.name = name
        self._program = program
        self._way = way
        self._packages = packages
        self._counted = text(counted)

    def missing(self) -> str:
        return installed.missing(*self._packages)

    def version(self) -> str:
        return installed.worded(*self._packages)

    @contextmanager
    def at_work(self, environment: BenchEnvironment, sink: Sink) -> Iterator[AtWork]:
        log = environment.folder / f"{self.name}.log"
        with own_database(environment, "peer") as (url, engine):
            given = {"PEER_DATABASE": url, "PEER_SINK": sink.url}
            run_once(self._program, "prepare", env=given, log=log)
            with parts(self._program, self._way, env=given, log=log) as programs:
                yield AtWork(
                    engine=engine,
                    programs=[program.pid for program in programs],
                    servers=[],
                    settle=lambda first, count: tell(programs, first, count),
                    counted=lambda: ask(engine, self._counted),
                )


@contextmanager
def own_database(environment: BenchEnvironment, name: str) -> Iterator[tuple[str, Engine]]:
    """An empty database: its address as libpq takes it, and an engine for what is counted."""
    server = environment.servers.database_url
    url = make_url(databases.create(server, name))
    engine = create_engine(url)
    try:
        plain = url.set(drivername="postgresql")
        yield plain.render_as_string(hide_password=False), engine
    finally:
        engine.dispose()
        databases.drop(server, name)


def ask(engine: Engine, question: TextClause) -> Counted:
    """What its tables say."""
    with engine.connect() as connection:
        return Counted(*connection.execute(question).one())


def run_once(program: str, *arguments: str, env: Mapping[str, str], log: Path) -> None:
    """Run it to its end."""
    with log.open("ab") as output:
        done = subprocess.run(
            command(program, *arguments),
            cwd=ROOT,
            env={**os.environ, **env},
            stdout=output,
            stderr=output,
            check=False,
        )
    if done.returncode:
        raise PeerFailed(f"{program} {' '.join(arguments)} ended with {done.returncode}", log)


@contextmanager
def parts(
    program: str, way: str, *, env: Mapping[str, str], log: Path
) -> Iterator[list["subprocess.Popen[str]"]]:
    """Run it once for each core, until the block ends; each is ready."""
    with ExitStack() as stack:
        programs = [
            stack.enter_context(_part(command(program, way, str(part)), env, log))
            for part in range(PARTS)
        ]
        for process in programs:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise PeerFailed(f"{program} {way} did not start", log)
        yield programs
        for process in programs:  # all at once: each takes a moment
            process.terminate()


@contextmanager
def _part(line: list[str], env: Mapping[str, str], log: Path) -> Iterator["subprocess.Popen[str]"]:
    with (
        log.open("ab") as output,
        subprocess.Popen(
            line,
            cwd=ROOT,
            env={**os.environ, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(ENDING_MAX.total_seconds())
            except subprocess.TimeoutExpired:
                process.kill()


def tell(programs: list["subprocess.Popen[str]"], first: int, count: int) -> None:
    """Say which tickets were won."""
    for process in programs:
        assert process.stdin is not None
        process.stdin.write(f"{first} {count}\n")
        process.stdin.flush()


def command(program: str, *arguments: str) -> list[str]:
    """The line that runs a program in the peers' environment."""
    return [str(installed.PYTHON), "-m", f"{PROGRAMS}.{program}", *arguments]


class PeerFailed(Exception):
    """A peer's program did not do what it should; with the end of what it wrote."""

    def __init__(self, what: str, log: Path) -> None:
        wrote = log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL_CHARACTERS:]
        super().__init__(f"{what}; it wrote:\n{wrote}")
