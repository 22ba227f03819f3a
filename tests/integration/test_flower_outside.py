"""Flower below a path, with and without TLS of its own, behind nginx; asked by its own probe."""

import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.support.celery_process import environment
from tests.support.certificates import identity
from tests.support.procfile_processes import Running
from tests.support.sources import ROOT
from tests.support.tls_proxy import tls_proxy
from tests.support.wait import eventually
from worker.local.servers import Servers
from worker.local.servers.ports import free_port

PREFIX = "/tools/flower"
PASSWORD = ("anna", "hers")
# deploy/README.md, *Flower for people outside*: two locations.
LOCATIONS = f"~ ^{PREFIX}/(metrics|healthcheck)$ {{ return 403; }} location {PREFIX}/"
PAGES = ("/", "/workers", "/tasks", "/broker", "/api/tasks", "/api/workers")
# What the table of tasks asks for, as its script does.
TABLE = {
    "draw": "1", "start": "0", "length": "10", "search[value]": "",
    "order[0][column]": "0", "order[0][dir]": "asc", "columns[0][data]": "name",
}  # fmt: skip

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Outside:
    """A Flower, its address through nginx, and its own."""

    env: dict[str, str]
    public: str
    direct: str
    trust: ssl.SSLContext

    def get(self, path: str, *, auth: tuple[str, str] | None = PASSWORD) -> httpx.Response:
        """Ask it through nginx."""
        return httpx.get(f"{self.public}{path}", auth=auth, verify=self.trust, timeout=20)


def environment_of(folder: Path, servers: Servers, port: int, **more: str) -> dict[str, str]:
    settings = environment(
        folder,
        database_url=servers.database_url,
        redis_url=servers.redis_url,
        flower_port=str(port),
    )
    return settings | {
        "FLOWER_BASIC_AUTH": ":".join(PASSWORD),
        "FLOWER_URL_PREFIX": PREFIX,
        **{f"FLOWER_{name.upper()}": value for name, value in more.items()},
    }


@pytest.fixture(scope="module", params=["http", "https"])
def outside(
    request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Outside]:
    folder = tmp_path_factory.mktemp("flower")
    identity(folder)
    trust = ssl.create_default_context(cafile=str(folder / "partner.pem"))
    files = {"certfile": str(folder / "partner.pem"), "keyfile": str(folder / "partner.key")}
    more = files if request.param == "https" else {}
    with running_flower(folder, servers, **more) as env:
        public = free_port()
        direct = f"{request.param}://127.0.0.1:{env['SLIPWAY_FLOWER_PORT']}"
        with tls_proxy(folder, port=public, location=LOCATIONS, target=direct):
            yield Outside(env, f"https://127.0.0.1:{public}{PREFIX}", direct, trust)


@contextmanager
def running_flower(folder: Path, servers: Servers, **more: str) -> Iterator[dict[str, str]]:
    """Run it on a port that nobody took meanwhile, until the block ends; its environment."""
    while True:
        env = environment_of(folder, servers, free_port(), **more)
        running = Running("flower", env=env, folder=folder)
        try:
            if eventually(partial(settled, running, env)) == "listens":
                yield env
                return
            assert "Address already in use" in running.wrote(), running.wrote()
        finally:
            running.kill()


def settled(running: Running, env: dict[str, str]) -> str | None:
    """Whether it has begun to listen or has ended, and None while neither is so."""
    if running.has_ended():
        return "ended"
    return "listens" if probed(env, "ready")[0] == 0 else None


@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_below_the_prefix_and_asks_for_the_password(outside: Outside, page: str):
    assert outside.get(page, auth=None).status_code == 401
    assert outside.get(page, auth=("anna", "another")).status_code == 401
    assert outside.get(page).status_code == 200


def test_a_page_loads_all_that_it_names(outside: Outside):
    page = outside.get("/tasks").text
    named = set(re.findall(r'(?:src|href)="(/[^"]*)"', page))
    assets = {path for path in named if "/static/" in path}

    assert all(path.startswith(f"{PREFIX}/") for path in named), named
    assert {path.rpartition(".")[2].partition("?")[0] for path in assets} >= {"js", "css", "ico"}
    for path in sorted(named):
        assert outside.get(path.removeprefix(PREFIX)).status_code == 200, path
    # Its script puts this before what it asks for later.
    assert f'value="{PREFIX}" id="url_prefix"' in page
    table = outside.get(f"/tasks/datatable?{httpx.QueryParams(TABLE)}")
    assert table.json()["draw"] == 1


def test_without_the_prefix_there_is_nothing(outside: Outside):
    for path in ("/", "/tasks", "/metrics", "/healthcheck", f"{PREFIX}x/"):
        answer = httpx.get(outside.direct + path, auth=PASSWORD, verify=outside.trust)
        assert answer.status_code == 404, path


def probed(env: dict[str, str], question: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, ROOT / "deploy/image/probe.py", question, "flower"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("question", ["alive", "ready"])
def test_the_probe_knows_where_it_is(outside: Outside, question: str):
    assert probed(outside.env, question) == (0, f"flower is {question}\n")
    code, output = probed(outside.env | {"FLOWER_URL_PREFIX": "/elsewhere"}, question)
    assert (code, "/elsewhere/healthcheck answers 404" in output) == (1, True), output


def test_what_asks_for_no_password_is_read_inside_alone(outside: Outside):
    page = httpx.get(f"{outside.direct}{PREFIX}/metrics", verify=outside.trust)

    assert page.status_code == 200
    for path in ("/metrics", "/healthcheck"):
        assert outside.get(path).status_code == 403
    assert "flower_worker_number_of_currently_executing_tasks" in page.text


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"url_prefix": "https://example.com/"}, "FLOWER_URL_PREFIX must be a path"),
        ({"certfile": "/nowhere.pem", "keyfile": "/nowhere.key"}, "/nowhere.pem cannot be read"),
    ],
    ids=["prefix", "certificate"],
)
def test_it_does_not_start_with_what_cannot_be_used(
    tmp_path: Path, servers: Servers, wrong: dict[str, str], reason: str
):
    env = environment_of(tmp_path, servers, free_port(), **wrong)
    running = Running("flower", env=env, folder=tmp_path)
    try:
        code = running.code()
    finally:
        running.kill()

    assert code == 2
    assert reason in running.wrote()
    assert "Traceback" not in running.wrote()
    assert ":".join(PASSWORD) not in running.wrote()
