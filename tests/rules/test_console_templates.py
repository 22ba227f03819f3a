"""What the Content-Security-Policy forbids is in no template, and vendored files are as listed."""

import re
from pathlib import Path

import pytest
from jinja2 import Environment

from tests.support.sources import ROOT

CONSOLE = ROOT / "worker/console"
TEMPLATES = sorted((CONSOLE / "templates").rglob("*.html"))
SCRIPTS = sorted((CONSOLE / "static").glob("*.js"))
VENDORED = CONSOLE / "static/vendor"

INLINE = re.compile(
    r"<style\b|\sstyle\s*=|\son[a-z]+\s*=|<script(?![^>]*\bsrc=)[^>]*>|javascript:|hx-on|js:",
    re.IGNORECASE,
)
ELSEWHERE = re.compile(r"(?:src|href|action)\s*=\s*[\"']?(?:https?:)?//", re.IGNORECASE)
UNESCAPED = re.compile(r"\|\s*safe\b|autoescape\s+false")
EVALUATED = re.compile(r"\beval\(|new Function\(|innerHTML|document\.write|setTimeout\(\s*[\"']")
STYLED_BY_ATTRIBUTE = re.compile(r"setAttribute\(\s*[\"']style")


def test_there_are_templates():
    assert {path.name for path in TEMPLATES} >= {"layout.html", "macros.html", "error.html"}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
@pytest.mark.parametrize("pattern", [INLINE, ELSEWHERE, UNESCAPED], ids=["inline", "url", "safe"])
def test_no_template_holds_what_the_policy_forbids(template: Path, pattern: re.Pattern[str]):
    text = template.read_text(encoding="utf-8")

    assert [match[0] for match in pattern.finditer(text)] == []


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_every_form_that_changes_something_carries_a_token(template: Path):
    source = template.read_text(encoding="utf-8")
    forms = re.findall(r"<form\b.*?</form>", source, re.DOTALL | re.IGNORECASE)
    posting = [form for form in forms if re.search(r"method=\"post\"", form, re.IGNORECASE)]

    assert [form for form in posting if "csrf" not in form] == []


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_links_know_the_path_prefix(template: Path):
    """`href="/notices"` would leave the console where it lives under a path."""
    text = template.read_text(encoding="utf-8")

    assert re.findall(r"(?:href|action|src)\s*=\s*[\"']/[^\"']*", text) == []


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_templates_can_be_parsed(template: Path):
    Environment(autoescape=True).parse(template.read_text(encoding="utf-8"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_our_scripts_evaluate_no_text(script: Path):
    text = script.read_text(encoding="utf-8")

    assert EVALUATED.findall(text) == []
    assert STYLED_BY_ATTRIBUTE.findall(text) == []


def test_the_patterns_find_what_they_look_for():
    for bad in ('<p style="x">', "<script>x</script>", '<a onclick="x">', "<style>"):
        assert INLINE.search(bad), bad
    for good in ('<script src="x" defer></script>', '<p class="style">', "<option>"):
        assert not INLINE.search(good), good
    assert ELSEWHERE.search('<img src="//cdn.example/x">')
    assert UNESCAPED.search("{{ x | safe }}")


def test_vendored_files_are_listed_with_version_and_licence():
    page = (VENDORED / "README.md").read_text(encoding="utf-8")
    files = {path.name for path in VENDORED.iterdir()} - {"README.md"}

    assert {name for name in files if f"`{name}`" not in page} == set()
