"""The pages of `models` agree with the code: generated sections are fresh, named files exist."""

import re
from pathlib import Path

import pytest

from models.lifecycle import pages
from models.settings import table as settings_table
from models.vocabulary import INBOUND, Status
from tests.support.sources import ROOT

MODELS = ROOT / "models"
WAY = (MODELS / "README.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"[\w/]+\.(?:py|md)\b|\b\w+/(?=`)", WAY)))


def test_the_lifecycle_page_is_what_the_machine_and_the_decisions_say():
    page = pages.PAGE.read_text(encoding="utf-8")

    assert pages.refreshed(page) == page, "generate it: python -m models.lifecycle.pages"


def test_the_lifecycle_page_still_has_its_generated_sections():
    """Or a lost mark would make any page look fresh."""
    emptied = re.sub(r"(`: \w+ -->\n).*?(<!-- \w+: end -->)", r"\1\2", page_text(), flags=re.DOTALL)

    made = pages.refreshed(emptied)

    assert made == page_text()
    assert "stateDiagram-v2" in made
    assert "stateDiagram-v2" not in emptied
    assert all(f"| `{action}` |" in made for action in INBOUND)
    assert all(f" {status} " in made for status in Status)


def page_text() -> str:
    return pages.PAGE.read_text(encoding="utf-8")


def test_the_settings_page_is_what_the_settings_say():
    page = settings_table.PAGE.read_text(encoding="utf-8")

    assert settings_table.refreshed(page) == page, "generate it: python -m models.settings.table"


@pytest.mark.parametrize("name", NAMED)
def test_the_way_through_models_names_files_that_exist(name):
    inside = [MODELS, MODELS / "lifecycle", MODELS / "notices", ROOT / "tests/unit", ROOT]

    assert any((folder / name).exists() for folder in inside)


@pytest.mark.parametrize("page", [MODELS / "README.md", MODELS / "lifecycle/README.md"], ids=str)
def test_links_between_the_pages_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
