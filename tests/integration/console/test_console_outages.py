"""The console starts before its servers, says so while the database is away, and stops at once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine

from models.users import Role
from tests.support.celery_process import environment
from tests.support.closed_port import closed_port
from tests.support.console_app import ConsoleClient, Page, add_console_users, serving_console
from tests.support.fork_server import Popen
from tests.support.free_port import free_port
from tests.support.plain_settings import plain_settings
from tests.support.procfile_processes import command_of
from tests.support.sources import ROOT
from tests.support.wait import eventually

GRACEFUL = "--timeout-graceful-shutdown"
GRACEFUL_SECONDS = 60  # instead of 10: uvicorn would wait so long for the connection
NO_REDIS = "redis://127.0.0.1:1/0"
OURS = "worker.console.app:build_app"
PROBED = "tests.support.console_probe_pages:build_probed_app"


def test_without_a_database_every_page_says_so_and_nothing_looks_empty():
    settings = plain_settings(database_url=f"postgresql://x@127.0.0.1:{closed_port()}/x")
    with serving_console(settings) as url, httpx.Client(base_url=url, timeout=20) as http:
        client = ConsoleClient(http, "nobody")
        assert client.page("/sign-in").text("h1") == "Sign in"
        http.cookies.set("slipway_session", "x" * 43)

        page = client.page("/", status=503)
        form = client.page("/sign-in")
        fields = {"csrf": form.hidden("csrf"), "name": "anna", "password": "x"}
        refused = Page.of(http.post("/sign-in", data=fields))
        ready = client.get("/readyz")

    assert page.text("h1") == refused.text("h1") == "The database does not respond"
    assert refused.status == 503
    assert page.response.headers["retry-after"]
    assert ready.status_code == 503
    assert ready.json()["message"] == "PostgreSQL does not respond"


@pytest.mark.slow
def test_the_process_stops_at_once_although_a_page_is_live(
    tmp_path: Path, database: str, engine: Engine
):
    """The line of the Procfile, but for the application, which has a live page more."""
    port = free_port()
    passwords = add_console_users(engine)
    settings = {"database_url": database, "redis_url": NO_REDIS, "console_port": str(port)}
    command = command_of("console").replace(OURS, PROBED)
    command = command.replace(f"{GRACEFUL} 10", f"{GRACEFUL} {GRACEFUL_SECONDS}")
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as http,
        Popen[bytes](
            ["/bin/sh", "-c", f"exec {command}"],
            cwd=ROOT,
            env=environment(tmp_path, **settings) | {"PATH": programs},
        ) as process,
    ):
        try:
            eventually(lambda: answers(http, process))
            http.follow_redirects = True
            client = ConsoleClient(http, "viewer")
            assert client.sign_in(passwords[Role.VIEWER]).text("h1") == "Overview"
            with http.stream("GET", "/probe/live") as live:
                lines = live.iter_lines()
                next(line for line in lines if line == "event: changed")

                process.send_signal(signal.SIGTERM)
                rest = list(lines)

            assert process.wait(GRACEFUL_SECONDS / 2) in {0, -signal.SIGTERM}
        finally:
            process.kill()

    assert "event: ended" not in rest, "the browser is to connect again, to another process"


def answers(http: httpx.Client, process: "subprocess.Popen[bytes]") -> bool:
    """Whether the process is ready; it must live."""
    assert process.poll() is None
    try:
        return http.get("/readyz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
