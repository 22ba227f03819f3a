"""The page *Publish from your language*: each example with its repeat, and when nothing is taken.

Its lines, in their order, are typed by test_pages_as_printed.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from redis import Redis

from models.settings.errors import variable_name
from models.settings.settings import Settings
from producers.simulation.partner import SimulatedPartner
from tests.support.followed_pages import INSTALL, NO_NETWORK, QUIETLY, blocks_of
from tests.support.running_slipway import RunningSlipway, running_slipway
from tests.support.server_folders import passable_folder
from tests.support.sources import ROOT
from tests.support.wait import eventually

BLOCKS = [text for kind, text in blocks_of("producers/PUBLISH.md") if kind == "sh"]
EXAMPLES = ROOT / "producers/examples"
NEEDED = {
    "publish.sh": "redis-cli",
    "publish.mjs": "npm",
    "publish-http.sh": "curl",
    "publish-cloudevents.sh": "curl",
}
PYTHON = ("publish.py", "publish_celery.py", "publish_raw.py")
ALL = (*sorted(NEEDED), *PYTHON)
SECRET = "12345ABCDE-12345ABCDE"

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Backend:
    """A reader who follows the page: a copy of the examples, and the way to Slipway."""

    slipway: RunningSlipway
    partner: SimulatedPartner
    gateway: str
    key: str

    def run(self, lines: str, example: str, **changed: str) -> "subprocess.CompletedProcess[str]":
        """Run lines of the page in a copy of the examples."""
        folder = self.slipway.folder / f"by-{example}"
        if not folder.exists():
            ignored = shutil.ignore_patterns("node_modules")
            shutil.copytree(EXAMPLES, folder, ignore=ignored)
            (folder / "key").write_text(f"X-Api-Key: {self.key}\n")
            (folder / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
            (folder / "python").chmod(0o755)
        return subprocess.run(
            ["/bin/sh", "-ec", lines],
            cwd=folder,
            env={
                "PATH": f"{folder}:{os.environ['PATH']}",
                "HOME": os.environ.get("HOME", str(folder)),
                "PYTHONPATH": str(ROOT),
                "SLIPWAY_REDIS_URL": self.slipway.redis_url(),
                "GATEWAY_URL": self.gateway,
                "API_KEY_FILE": str(folder / "key"),
                **changed,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def ticket_of(self, example: str) -> str:
        """The ticket that the lines of *example* made."""
        folder = self.slipway.folder / f"by-{example}"
        (events,) = [*folder.glob("events.ndjson"), *folder.glob("event.json")]
        return str(json.loads(events.read_text().splitlines()[-1])["data"]["ticket_id"])

    def story(self, ticket_id: str) -> dict[str, Any]:
        """Ask the gateway what became of a ticket."""
        answer = httpx.get(
            f"{self.gateway}/tickets/{ticket_id}", headers={"X-Api-Key": self.key}, timeout=30
        )
        document: dict[str, Any] = answer.json()
        return document


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with (
        SimulatedPartner(secret=SECRET) as partner,
        passable_folder() as folder,
        running_slipway(folder) as slipway,
    ):
        secret = folder / "partner.secret"
        secret.write_text(SECRET)
        slipway.command(
            f"operators add acme --url {partner.url} --protocol pam --secret-file {secret}"
        )
        added = json.loads(slipway.command("publishers add examples --operator acme --json"))
        yield Backend(slipway, partner, slipway.gateway_url(), added["key"])


@pytest.mark.parametrize("example", ALL)
def test_an_example_leads_to_the_partner_and_its_repeat_counts_once(backend, example):
    lines = lines_with(example)

    first = backend.run("\n".join(lines), example)
    if INSTALL in " ".join(lines) and first.returncode and NO_NETWORK.search(first.stderr):
        pytest.skip(f"npm cannot reach its registry: {first.stderr.strip()[-200:]}")
    repeated = backend.run(lines[-1], example)

    assert first.returncode == repeated.returncode == 0, first.stderr + repeated.stderr
    ticket_id = backend.ticket_of(example)
    eventually(lambda: taken(backend, ticket_id) == ["ticket_win"])
    eventually(lambda: wins(backend, ticket_id) == [("applied", 1)])


@pytest.mark.parametrize("example", ALL)
def test_an_example_ends_with_an_error_when_nothing_was_taken(backend, example):
    command = lines_with(example)[-1]
    away = {"SLIPWAY_REDIS_URL": "redis://127.0.0.1:1/0", "API_KEY_FILE": "events.sh"}
    made_by_the_test_before(backend, example)

    ended = backend.run(command, example, **away)

    assert ended.returncode != 0
    assert ended.stderr


@pytest.mark.parametrize("example", ["publish.mjs", "publish.py", "publish.sh", "publish_raw.py"])
def test_an_example_ends_with_an_error_when_the_stream_takes_nothing(backend, example):
    """Errors inside EXEC's reply included.

    Not curl's: it repeats what the gateway answers 503. Not Celery's: its queue takes the task.
    """
    command = lines_with(example)[-1]
    made_by_the_test_before(backend, example)
    with Redis.from_url(backend.slipway.redis_url()) as redis:
        eventually(lambda: redis.xlen("ticket-events") == 0)
        redis.set("ticket-events", "x")
        try:
            ended = backend.run(command, example)
        finally:
            redis.delete("ticket-events")

    assert ended.returncode != 0
    assert "WRONGTYPE" in ended.stderr


def test_a_task_without_a_queue_is_found_by_the_doctor_and_moved_by_the_line_it_prints(backend):
    """As the page says of tasks that were sent to Celery's default queue."""
    if not shutil.which("redis-cli"):
        pytest.skip("redis-cli is not installed")
    made = backend.run(lines_with("publish_celery.py")[0], "lost")
    program = backend.slipway.folder / "by-lost/publish_celery.py"
    program.write_text(program.read_text().replace('queue="tickets",', "priority=6,"))
    sent = backend.run("python publish_celery.py < events.ndjson", "lost")
    report = backend.slipway.output_of("doctor")
    (command,) = re.findall(r"redis-cli .* LMOVE .*LEFT\b", report)

    moved = backend.run(command, "lost")

    assert made.returncode == sent.returncode == moved.returncode == 0, report + moved.stderr
    assert "2 wait in the queue celery" in report
    eventually(lambda: taken(backend, backend.ticket_of("lost")) == ["ticket_win"])


def test_the_page_shows_an_event_as_the_examples_make_it(backend):
    shown = re.search(r"```json\n(\{.*?)\n```", (ROOT / "producers/PUBLISH.md").read_text())
    made = backend.run("./events.sh", "shown").stdout.splitlines()
    assert shown

    event = json.loads(shown[1])
    assert [[*json.loads(line)] for line in made] == [[*event], [*event]]
    assert [*json.loads(made[-1])["data"]] == [*event["data"]]
    assert json.loads(made[-1])["action"] == event["action"]


def test_every_block_and_every_example_is_run():
    scripts = {file.name for file in EXAMPLES.iterdir() if file.suffix in {".sh", ".mjs", ".py"}}

    assert {*ALL, "events.sh", "cloudevents.sh"} == scripts
    assert all(any(example in block for block in BLOCKS) for example in scripts)


def test_an_example_reads_no_variable_that_slipway_would_refuse():
    """A variable SLIPWAY_… that is no setting stops every command in that terminal."""
    pages = [*EXAMPLES.iterdir(), *(ROOT / "producers").glob("*.md"), ROOT / "README.md"]
    named = {
        name
        for page in pages
        if page.is_file()
        for name in re.findall(r"\bSLIPWAY_[A-Z_]+[A-Z]", page.read_text(encoding="utf-8"))
    }

    assert named <= {variable_name(name) for name in Settings.model_fields}


def lines_with(example: str) -> list[str]:
    """The page's lines for *example*, the last of which publishes; skips without its program."""
    program = NEEDED.get(example)
    if program and not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    block = next(text for text in BLOCKS if f"{example} <" in text)
    lines = block.replace(INSTALL, QUIETLY).splitlines()
    return [line for line in lines if line.startswith(("./", "npm", "node", "python"))]


def made_by_the_test_before(backend: Backend, example: str) -> None:
    """Make what the last line publishes, unless it is there."""
    folder = backend.slipway.folder / f"by-{example}"
    if example == "publish.mjs" and not (folder / "node_modules").exists():
        pytest.skip("its packages are not installed")
    if not [*folder.glob("events.ndjson"), *folder.glob("event.json")]:
        made = backend.run("\n".join(lines_with(example)[:-1]), example)
        assert made.returncode == 0, made.stderr


def taken(backend: Backend, ticket_id: str) -> list[str]:
    entries = backend.partner.ledger.entries()
    return [str(entry.action) for entry in entries if entry.ticket_id == ticket_id and entry.taken]


def wins(backend: Backend, ticket_id: str) -> list[tuple[str, int]]:
    events = backend.story(ticket_id)["tickets"][0]["events"]
    return [
        (event["outcome"], event["repeats"]) for event in events if event["action"] == "ticket_win"
    ]
