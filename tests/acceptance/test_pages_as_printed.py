"""README, Try it, Publish and Add a partner: typed line by line, alone and one after the other."""

import json
import shutil
import subprocess

import pytest

from tests.support.databases import ask
from tests.support.followed_pages import NO_NETWORK, QUIETLY, START, blocks_of, newcomer
from tests.support.sources import ROOT

README, TRY, PUBLISH = "README.md", "producers/TRY.md", "producers/PUBLISH.md"
PARTNERS = "deploy/PARTNERS.md"
OPERATORS = "producers/examples/operators.yaml"  # of README and *Try it*
EXAMPLES = 8  # ways to publish on that page, each with a ticket of its own
WON = "SELECT count(*) FROM ticket WHERE ticket_id ~ '^T[0-9]' AND result = 'won'"
OLD_SHELL = ("/bin/sh", "-e")
NEW_SHELL = ("bash", "-e", "-o", "pipefail")

pytestmark = pytest.mark.slow(seconds=30)


@pytest.fixture(scope="module")
def has_npm(tmp_path_factory: pytest.TempPathFactory) -> bool:
    """Whether the block for Node.js can be run: npm is there, and reaches its registry."""
    if not shutil.which("npm"):
        return False
    folder = tmp_path_factory.mktemp("npm")
    command = [*QUIETLY.split(), "ioredis@6"]
    tried = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert tried.returncode == 0 or NO_NETWORK.search(tried.stderr), tried.stderr
    return tried.returncode == 0


@pytest.fixture(autouse=True)
def clients() -> None:
    for program in ("bash", "redis-cli", "curl", "make"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")


def test_publish_can_be_followed_alone(has_npm):
    with newcomer(*OLD_SHELL, has_npm=has_npm) as person:
        person.follow(PUBLISH)


def test_readme_can_be_followed_alone_and_its_slipway_is_all_the_page_for_partners_needs(has_npm):
    """Of the operator that README adds the page for partners says nothing."""
    with newcomer(*OLD_SHELL, has_npm=has_npm) as person, person.following(README):
        person.follow(PARTNERS)

    assert "acme" in blocks_of(README)[1][1] + (ROOT / OPERATORS).read_text()
    assert not [block for _, block in blocks_of(PARTNERS) if "acme" in block]


@pytest.mark.timeout(1200)
def test_try_it_can_be_followed_alone_and_again_and_the_other_pages_after_it(has_npm):
    """In one folder: in an old shell, and with the data of that time in a new one.

    Then its Slipway and its partner go on, and the other pages are followed beside them.
    """
    with newcomer(*OLD_SHELL, has_npm=has_npm) as person:
        person.follow(TRY)
        person.harness.shell = NEW_SHELL
        with person.following(TRY):
            for page in (PUBLISH, PARTNERS):
                person.follow(page)
            rejected = json.loads(person.ask(".venv/bin/slipway events rejected list --json"))
            (won,) = ask(person.database_url(), WON)

    assert {(row["event_id"], row["reason"]) for row in rejected} == {("7f4", "ticket_closed")}
    assert won == EXAMPLES - (not has_npm), "what PUBLISH publishes does what it says"


def test_each_page_begins_with_terminals_that_stay_open():
    for page in (TRY, PUBLISH):
        assert blocks_of(page)[0] == ("sh", f"{START}\n")
    assert START in blocks_of(README)[0][1]
    assert "slipway partner" in blocks_of(PARTNERS)[0][1]


def test_no_page_is_without_lines():
    block_counts = {page: len(blocks_of(page)) for page in (README, TRY, PUBLISH, PARTNERS)}

    assert block_counts[README] == 2
    assert min(block_counts[TRY], block_counts[PUBLISH], block_counts[PARTNERS]) >= 10
    assert all((ROOT / page).exists() for page in block_counts)
