"""The page *Publish from your language*: its commands, run as they stand there, twice each."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from redis import Redis

from producers.simulation.partner import SimulatedPartner
from tests.support.places import passable_folder
from tests.support.running_slipway import RunningSlipway, running_slipway
from tests.support.sources import ROOT
from tests.support.wait import eventually

PAGE = (ROOT / "producers/PUBLISH.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
EXAMPLES = ROOT / "producers/examples"
TICKET = "1330556611374148608"  # the one of the examples
LONG_AGO = "2026-11-01"  # theirs, too; what is older than 30 days is rejected
NEEDED = {"publish.sh": "redis-cli", "publish.mjs": "npm", "publish-http.sh": "curl"}
NO_NETWORK = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONN|ETIMEDOUT|network|E404|E403", re.IGNORECASE)
INSTALL = "npm install"
QUIETLY = f"{INSTALL} --no-audit --no-fund --ignore-scripts --prefer-offline --loglevel=error"
SECRET = "12345ABCDE-12345ABCDE"

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Backend:
    """Somebody who follows the page: a copy of the examples, and the way to Slipway."""

    slipway: RunningSlipway
    partner: SimulatedPartner
    gateway: str
    key: str

    def run(self, block: str, ticket_id: str, **changed: str) -> "subprocess.CompletedProcess[str]":
        """Run a block of the page in a copy of the examples, with a ticket and a day of its own."""
        folder = self.slipway.folder / ticket_id
        recently = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"  # noqa: TID251 - as a backend does
        if not folder.exists():
            shutil.copytree(EXAMPLES, folder)
            for events in (*folder.glob("*.json"), *folder.glob("*.ndjson")):
                own = events.read_text().replace(TICKET, ticket_id).replace(LONG_AGO, recently)
                events.write_text(own)
            (folder / "key").write_text(f"X-Api-Key: {self.key}\n")
            (folder / "python").symlink_to(sys.executable)
        return subprocess.run(
            ["/bin/sh", "-ec", block],
            cwd=folder,
            env={
                "PATH": f"{folder}:{os.environ['PATH']}",
                "HOME": os.environ.get("HOME", str(folder)),
                "SLIPWAY_REDIS_URL": self.slipway.redis_url(),
                "SLIPWAY_GATEWAY_URL": self.gateway,
                "SLIPWAY_KEY_FILE": str(folder / "key"),
                **changed,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def story(self, ticket_id: str) -> dict[str, Any]:
        """Ask the gateway what became of a ticket."""
        answer = httpx.get(f"{self.gateway}/tickets/{ticket_id}", headers={"X-Api-Key": self.key})
        told: dict[str, Any] = answer.json()
        return told


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


@pytest.mark.parametrize("example", [*sorted(NEEDED), "publish_raw.py"])
def test_an_example_leads_to_the_partner_and_its_repeat_counts_once(backend, example):
    block = block_with(example)

    first = backend.run(block, f"by-{example}")
    if INSTALL in block and first.returncode and NO_NETWORK.search(first.stderr):
        pytest.skip(f"npm cannot reach its registry: {first.stderr.strip()[-200:]}")
    repeated = backend.run(block.splitlines()[-1], f"by-{example}")

    assert first.returncode == repeated.returncode == 0, first.stderr + repeated.stderr
    eventually(lambda: told(backend, f"by-{example}") == ["ticket_win"])
    eventually(lambda: wins(backend, f"by-{example}") == [("7f2", "applied", 1)])


@pytest.mark.parametrize("example", [*sorted(NEEDED), "publish_raw.py"])
def test_an_example_ends_with_an_error_when_nothing_was_taken(backend, example):
    command = block_with(example).splitlines()[-1]
    nobody = {"SLIPWAY_REDIS_URL": "redis://127.0.0.1:1/0", "SLIPWAY_KEY_FILE": "event.json"}
    if INSTALL in block_with(example) and not (backend.slipway.folder / f"by-{example}").exists():
        pytest.skip("its packages are not installed")

    ended = backend.run(command, f"by-{example}", **nobody)

    assert ended.returncode != 0
    assert ended.stderr


@pytest.mark.parametrize("example", ["publish.mjs", "publish.sh", "publish_raw.py"])
def test_an_example_ends_with_an_error_when_the_stream_takes_nothing(backend, example):
    """Errors inside EXEC's reply included. Not curl's: it repeats what the gateway answers 503."""
    command = block_with(example).splitlines()[-1]
    if INSTALL in block_with(example) and not (backend.slipway.folder / f"by-{example}").exists():
        pytest.skip("its packages are not installed")
    with Redis.from_url(backend.slipway.redis_url()) as redis:
        eventually(lambda: redis.xlen("ticket-events") == 0)
        redis.set("ticket-events", "x")
        try:
            ended = backend.run(command, f"by-{example}")
        finally:
            redis.delete("ticket-events")

    assert ended.returncode != 0
    assert "WRONGTYPE" in ended.stderr


def test_the_page_shows_the_event_that_its_examples_send():
    event = (EXAMPLES / "event.json").read_text(encoding="utf-8")

    assert event in PAGE
    assert (EXAMPLES / "events.ndjson").read_text(encoding="utf-8").endswith(event)


def test_every_block_and_every_example_is_run():
    scripts = {file.name for file in EXAMPLES.iterdir() if file.suffix in {".sh", ".mjs", ".py"}}

    assert {*NEEDED, "publish_raw.py"} == scripts
    assert len(BLOCKS) == len(scripts)


def block_with(example: str) -> str:
    """Find the page's block that runs *example*; skips where its program is missing."""
    program = NEEDED.get(example)
    if program and not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    block: str = next(one for one in BLOCKS if example in one)
    return block.replace(INSTALL, QUIETLY)


def told(backend: Backend, ticket_id: str) -> list[str]:
    entries = backend.partner.ledger.entries()
    return [str(one.action) for one in entries if one.ticket_id == ticket_id and one.taken]


def wins(backend: Backend, ticket_id: str) -> list[tuple[str, str, int]]:
    events = backend.story(ticket_id)["tickets"][0]["events"]
    return [
        (one["event_id"], one["outcome"], one["repeats"])
        for one in events
        if one["action"] == "ticket_win"
    ]
