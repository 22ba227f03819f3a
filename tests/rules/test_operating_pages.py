"""What the pages for operations say to type exists: commands, options, settings, files, alerts."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from models.settings.errors import variable_name
from models.settings.settings import Settings
from tests.support.observed_queries import alerts
from tests.support.sources import ROOT
from worker.cli.application import app
from worker.cli.operators.files import Document

PAGES = sorted((ROOT / "deploy").glob("*.md"))
RUNBOOK = (ROOT / "deploy/RUNBOOK.md").read_text(encoding="utf-8")
# In a sentence, where a line may break; and in a block, where a backslash must stand before that.
TYPED = (
    re.compile(r"`slipway ([^`]*)`"),
    re.compile(r"^    (?:.*(?:-- |\| ))?slipway ((?:[^\\\n]|\\\n)*)", re.MULTILINE),
    re.compile(r"^(?:  )?slipway ((?:[^\\\n`]|\\\n)*)$", re.MULTILINE),  # in a fenced block
)
CODE = re.compile(r"`[^`]+`|^    .+$", re.MULTILINE)
SETTINGS = {variable_name(name) for name in Settings.model_fields}
# The statement that finds who holds a lock stands in one section, and others name that.
ELSEWHERE = ("the statement under SlipwaySweepStopped", "`SELECT …`")
PAGING = [alert["alert"] for alert in alerts() if alert["labels"]["severity"] == "page"]


def typed(page: Path) -> Iterator[list[str]]:
    """The commands of *page*, each as its words."""
    text = page.read_text(encoding="utf-8")
    for pattern in TYPED:
        for command in pattern.findall(text):
            yield command.replace("\\\n", " ").split()


def wrong_with(words: list[str]) -> str | None:
    """Describe what of a command does not exist."""
    command: Any = get_command(app)  # of a Click that Typer may bring itself
    while hasattr(command, "commands") and words:
        name = words.pop(0)
        if re.fullmatch(r"[A-Z]+|…", name):  # a place for any command, as in `slipway …`
            return None
        subcommand = command.commands.get(name)
        if subcommand is None:
            return f"there is no {name!r}"
        command = subcommand
    known = {option for parameter in command.params for option in parameter.opts}
    options = {word.split("=")[0] for word in words if word.startswith("-") and word != "-"}
    return f"{command.name} has no {options - known}" if options - known else None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_on_the_page_exists_with_its_options(page):
    checked = [(words, wrong_with(list(words))) for words in typed(page)]

    assert [(words, wrong) for words, wrong in checked if wrong] == []


def test_commands_are_found_on_the_pages_at_all():
    """Or a pattern that finds nothing would find nothing wrong."""
    counts = {page.name: len(list(typed(page))) for page in PAGES}

    assert counts["RUNBOOK.md"] >= 30
    assert counts["PARTNERS.md"] >= 8
    assert counts["SECRETS.md"] >= 5
    assert wrong_with(["operators", "frobnicate"]) == "there is no 'frobnicate'"
    assert wrong_with(["operators", "add", "acme", "--sekret"]) == "add has no {'--sekret'}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_and_link_on_the_page_exists(page):
    text = page.read_text(encoding="utf-8")

    assert set(re.findall(r"\bSLIPWAY_[A-Z_]+[A-Z]", text)) <= SETTINGS
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (page.parent / target).exists(), target
    for file in re.findall(r"`(tests/[\w/.]+)`", text):
        assert (ROOT / file).exists(), file


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_alert_that_a_page_names_is_one(page):
    named = set(re.findall(r"\bSlipway[A-Z]\w+", page.read_text(encoding="utf-8")))

    assert named - {"SlipwayError"} <= {alert["alert"] for alert in alerts()}


@pytest.mark.parametrize("alert", PAGING)
def test_the_section_of_a_page_has_commands_to_type(alert):
    """A step is a command, a panel to look at, or a process to restart; not good advice."""
    (section,) = re.findall(rf"^### {alert}\n(.*?)(?=^##|\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
    section = section.replace(*ELSEWHERE)
    steps = re.findall(r"^\d\. ", section, re.MULTILINE)
    literal = [
        snippet
        for snippet in CODE.findall(section)
        if re.search(r"slipway |redis-cli|kubectl|SELECT|GET ", snippet)
    ]

    assert steps
    assert literal


def test_the_partners_of_the_page_are_a_file_that_apply_takes():
    page = (ROOT / "deploy/PARTNERS.md").read_text(encoding="utf-8")
    (sample,) = re.findall(r"^operators:\n(?:  .*\n)+", page, re.MULTILINE)

    (nova,) = Document.model_validate(yaml.safe_load(sample)).operators
    assert (nova.code, nova.enabled, nova.rate) == ("nova", False, 50)


def test_the_network_of_a_partner_is_let_out_of_the_deliverers_alone():
    page = (ROOT / "deploy/PARTNERS.md").read_text(encoding="utf-8")
    (sample,) = re.findall(r"^      apiVersion: networking(?:.*\n)+?\n", page, re.MULTILINE)

    policy = yaml.safe_load(sample)
    chosen = policy["spec"]["podSelector"]["matchLabels"]
    assert chosen == {"app.kubernetes.io/component": "deliver"}
    assert policy["spec"]["egress"][0]["to"][0]["ipBlock"]["cidr"] in page
