"""Restate as a contender: its server from npm's package, a service of handlers for each core."""

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Engine, text

from tests.load.environment import BenchEnvironment
from tests.load.peers import installed
from tests.load.peers.contender import AtWork, Counted
from tests.load.peers.program_peer import PeerFailed, own_database, parts, run_once, tell
from tests.load.sink import Sink
from tests.support.wait import eventually

PACKAGES = ("restate-sdk", "hypercorn", "asyncpg", "aiohttp", "uvloop")
NPM_PACKAGE = "@restatedev/restate-server"
MODULES = installed.PLACE / "node_modules"
PROGRAM = "restate_peer"
STARTING_MAX = timedelta(seconds=60)
ENDING_MAX = timedelta(seconds=20)
SETTLED = text("SELECT count(*) FROM ticket")
INVOCATIONS = """
    SELECT target_handler_name, status, completion_result, count(*) AS invocations
      FROM sys_invocation GROUP BY target_handler_name, status, completion_result"""
# Without `created_at` and `scheduled_at` beside it, this version leaves the start of each empty.
STARTS = """
    SELECT target_handler_name, status, created_at, scheduled_at, scheduled_start_at
      FROM sys_invocation WHERE status <> 'completed'"""
PROBLEM_CHARACTERS = 200
FAR = timedelta(hours=23)


class RestatePeer:
    """Restate, on one node, as its server is without settings but those of its sockets."""

    name = "restate"

    def missing(self) -> str:
        """Say why it cannot run here; empty: it can."""
        if lacking := installed.missing(*PACKAGES):
            return lacking
        if not (MODULES / NPM_PACKAGE).exists():
            npm = "" if shutil.which("npm") else " (npm itself is not installed)"
            return f"npm's package {NPM_PACKAGE} is not in {MODULES}{npm}: {installed.REMEDY}"
        program = server()
        if program is None:
            kind = f"{platform.system()} on {platform.machine()}"
            return f"npm's package {NPM_PACKAGE} has no binary for {kind}"
        done = asked_version(program)
        problem = done.stderr.strip()[:PROBLEM_CHARACTERS]
        return f"{program} does not run here: {problem}" if done.returncode else ""

    def version(self) -> str:
        """Name its packages and their versions."""
        program = server()
        assert program is not None, "nothing is missing"
        return f"{asked_version(program).stdout.strip()}; {installed.worded(*PACKAGES)}"

    @contextmanager
    def at_work(self, environment: BenchEnvironment, sink: Sink) -> Iterator[AtWork]:
        """Run it in a database of its own."""
        log = environment.folder / "restate.log"
        with (
            own_database(environment, "restate") as (url, engine),
            _serving(environment.folder, log) as (pid, sockets),
        ):
            far = datetime.now(UTC) + FAR  # noqa: TID251 - what the server's clock is compared with
            given = {"PEER_DATABASE": url, "PEER_SINK": sink.url, "PEER_RESTATE": str(sockets)}
            run_once(PROGRAM, "prepare", env=given, log=log)
            with (
                parts(PROGRAM, "work", env=given, log=log) as programs,
                httpx.Client(
                    transport=httpx.HTTPTransport(uds=str(sockets / "admin.sock")),
                    base_url="http://local",
                    headers={"accept": "application/json"},
                    timeout=60,
                ) as admin,
            ):
                yield AtWork(
                    engine=engine,
                    programs=[program.pid for program in programs],
                    servers=[pid],
                    settle=lambda first, count: tell(programs, first, count),
                    counted=lambda: _counted(engine, admin, far=far),
                )


def server() -> Path | None:
    """The server's binary, which npm installs for this kind of machine only."""
    return next(MODULES.glob(f"{NPM_PACKAGE}-*/bin/restate-server"), None)


def asked_version(program: Path) -> "subprocess.CompletedProcess[str]":
    """Run the server for its version only."""
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=False)


@contextmanager
def _serving(folder: Path, log: Path) -> Iterator[tuple[int, Path]]:
    """Run the server with fresh data until the block ends; its process, and the sockets' folder."""
    data = Path(tempfile.mkdtemp(prefix="restate-", dir=folder))
    given = {
        "RESTATE_BASE_DIR": str(data),
        "RESTATE_NODE_NAME": "peer",
        "RESTATE_LISTEN_MODE": "unix",
        "RESTATE_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
    }
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(server())], env={**os.environ, **given}, cwd=data, stdout=output, stderr=output
        )
    sockets = data / "peer"
    try:

        def ready() -> bool:
            if process.poll() is not None:
                raise PeerFailed(f"restate-server ended with {process.returncode}", log)
            return healthy(sockets)

        eventually(ready, within=STARTING_MAX)
        yield process.pid, sockets
    finally:
        process.terminate()
        try:
            process.wait(ENDING_MAX.total_seconds())
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(data)


def healthy(sockets: Path) -> bool:
    """Whether both of its sockets answer."""
    pages = {"admin.sock": "/health", "ingress.sock": "/restate/health"}
    for name, page in pages.items():
        transport = httpx.HTTPTransport(uds=str(sockets / name))
        with httpx.Client(transport=transport, base_url="http://local") as client:
            try:
                if client.get(page).status_code != httpx.codes.OK:
                    return False
            except httpx.HTTPError:
                return False
    return True


def _counted(engine: Engine, admin: httpx.Client, *, far: datetime) -> Counted:
    """What the table says, and the server: a timer counts that does not end before *far*."""
    with engine.connect() as connection:
        settled = connection.execute(SETTLED).scalar_one()
    counts = {
        (row["target_handler_name"], row["status"], row.get("completion_result")): row[
            "invocations"
        ]
        for row in _rows(admin, INVOCATIONS)
    }
    starts = [_start(row) for row in _rows(admin, STARTS) if row["status"] == "scheduled"]
    waiting = counts.get(("close", "scheduled", None), 0)
    timers = sum(start > far for start in starts)
    assert timers == waiting, f"of {waiting} timers {timers} wait for so long"
    return Counted(settled, counts.get(("won", "completed", "success"), 0), timers)


def _start(row: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(row["scheduled_start_at"])


def _rows(admin: httpx.Client, question: str) -> list[dict[str, Any]]:
    answer = admin.post("/query", json={"query": question}).raise_for_status()
    rows: list[dict[str, Any]] = answer.json()["rows"]
    return rows
