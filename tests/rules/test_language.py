"""One word for one thing: the glossary's retired words are gone, and what is cited can be read."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from typer._click.core import Command, Context  # Typer carries its own Click
from typer.core import TyperGroup
from typer.main import get_command

from tests.support.sources import PRODUCT, ROOT, modules, texts
from worker.cli.application import app

GLOSSARY: Final = ROOT / "models/GLOSSARY.md"
RULES: Final = ROOT / "models/lifecycle/RULES.md"
CONTRACTS: Final = ROOT / "models/notices/CONTRACTS.md"
DECISIONS: Final = ROOT / "deploy/decisions"

# Names that outsiders set, a column of the database, and words of other programs and libraries.
KEPT: Final = re.compile(
    r"SLIPWAY_(CHUNK_SIZE|HINT_INTERVAL|SURVEY_INTERVAL)|chunk_size|hint_interval|survey_interval"
    r"|103 Early Hints|type[ _]hints?|message_hint|error_status_hint|HINT:"
    r"|Transfer-Encoding(: |\", \")chunked|chunked-encoding|header\|headers\|chunk"
    r"|sqlalchemy\.dialects|\.dialect\b|dialect=_DIALECT|_DIALECT"
    r"|\bhorizon: datetime|\"horizon\", sa|ended_at, horizon|\bhorizon = excluded|\w+\.horizon",
    re.IGNORECASE,
)
NOT_OURS: Final = {".lock", ".c", ".json"}  # pinned, another language, made or sampled
SPELT_OUT: Final = {  # say what is not used any more
    Path("CHANGELOG.md"),
    Path("models/GLOSSARY.md"),
    Path("tests/rules/test_language.py"),
}

NOT_NOUNS: Final = {"one", "told", "found", "said", "asked", "heard"}

CITED_RULE: Final = re.compile(r"\b[Rr]ules? (\d+)(?:(?:, | and | to |, and )(\d+))*")
CITED_COUNTEREXAMPLE: Final = re.compile(r"\bH(\d{1,2})\b")
CITED_CONTRACT: Final = re.compile(
    r"\b[Cc]ontracts (\d(?:\.\d+)*)(?:(?:, | and | to )(\d(?:\.\d+)*))*"
)
CITED_DECISION: Final = re.compile(r"\b[Dd]ecisions? (\d{4})")
ELSEWHERE: Final = re.compile(
    r"\b(protocol|design|celery-on-redis)\.md\b|\bcontracts: ", re.IGNORECASE
)

# What people outside read: no citation of a page they do not have.
PUBLIC: Final = ("producers/contract/openapi.json", "producers/contract/event.schema.json")


def retired() -> list[str]:
    """Return the words of the glossary's columns *not*."""
    words: list[str] = []
    column = None
    for line in GLOSSARY.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line[:1] == "|" else []
        if "not" in cells and ("word" in cells or "but" in cells):
            column = cells.index("not")
        elif cells and column is not None and not cells[0].startswith("---"):
            words += [word for word in re.split(r", ?", cells[column]) if word]
        elif not cells:
            column = None
    return words


def spaced(text: str) -> str:
    """Split names into words: `takeOver`, `take_over` and `TakeOver` become `take over`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", text).lower()


def test_the_glossary_has_its_words():
    assert len(retired()) > 25
    assert {"courier", "chunk", "for ever"} <= set(retired())


def test_a_retired_word_is_found_in_names_too():
    assert (
        spaced("DeliveryCourier chunk_of lastHorizon") == "delivery courier chunk of last horizon"
    )


def test_retired_words_are_found_nowhere():
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, retired()))})(s|ed|es|ing)?\b")
    places = [
        f"{path}:{number}: {match[0]}"
        for path, text in texts()
        if path.suffix not in NOT_OURS and path not in SPELT_OUT
        if pattern.search(spaced(KEPT.sub("", text)))
        for number, line in enumerate(text.splitlines(), 1)
        for match in pattern.finditer(spaced(KEPT.sub("", line)))
    ]

    assert places == [], "models/GLOSSARY.md says which word to use"


def test_values_are_named_with_nouns():
    places = [
        f"{path}:{node.lineno}: {name}"
        for path, source in modules(*PRODUCT, "tests")
        for node, name in bound_names(source)
        if name in NOT_NOUNS
    ]

    assert places == [], "name the value for what it is"


def bound_names(source: str) -> Iterator[tuple[ast.Name | ast.arg, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node, node.id
        elif isinstance(node, ast.arg):
            yield node, node.arg


def test_a_class_name_stands_for_one_thing():
    places: dict[str, list[str]] = {}
    for path, source in modules(*PRODUCT):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name.lstrip("_"), []).append(str(path))

    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def headings(page: Path) -> set[str]:
    return set(re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE))


def citations(pattern: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """Yield each cited number with its place; of `rules 3 and 5` both."""
    for path, text in texts():
        if path.suffix in {".py", ".md", ".yml", ".yaml"} or path.name in {"Makefile", "Procfile"}:
            for number, line in enumerate(text.splitlines(), 1):
                for match in pattern.finditer(line):
                    for cited in re.findall(
                        r"\d+(?:\.\d+)*", match[0].partition(" ")[2] or match[0]
                    ):
                        yield f"{path}:{number}", cited


@pytest.mark.parametrize(
    ("pattern", "page", "heading"),
    [
        (CITED_RULE, RULES, "Rule {}:"),
        (CITED_COUNTEREXAMPLE, RULES, "H{}:"),
        (CITED_CONTRACT, CONTRACTS, "{} "),
    ],
    ids=["rules", "counterexamples", "contracts"],
)
def test_what_is_cited_is_a_heading(pattern: re.Pattern[str], page: Path, heading: str):
    there = {
        title.replace(". ", " ", 1) if title[:1].isdigit() else title for title in headings(page)
    }
    missing = [
        f"{place} cites {cited}"
        for place, cited in citations(pattern)
        if not any(title.startswith(heading.format(cited)) for title in there)
    ]

    assert missing == [], f"not in {page.relative_to(ROOT)}"


def test_cited_decisions_exist():
    there = {page.name[:4] for page in DECISIONS.glob("0*.md")}

    assert {cited for _, cited in citations(CITED_DECISION)} <= there


def test_nothing_cites_a_page_that_is_not_here():
    places = [
        f"{path}:{number}"
        for path, text in texts()
        if path.suffix not in NOT_OURS and path not in SPELT_OUT and ELSEWHERE.search(text)
        for number, line in enumerate(text.splitlines(), 1)
        if ELSEWHERE.search(line)
    ]

    assert places == []


@pytest.mark.parametrize("page", PUBLIC)
def test_outsiders_are_not_sent_to_our_rules(page: str):
    text = (ROOT / page).read_text(encoding="utf-8")

    cited = [
        match[0]
        for pattern in (CITED_RULE, CITED_COUNTEREXAMPLE, CITED_CONTRACT)
        for match in pattern.finditer(text)
    ]

    assert cited == []


def test_help_texts_cite_nothing():
    """Whoever types `--help` has none of our pages open."""
    cited = [
        f"{name}: {match[0]}"
        for name, text in help_texts(get_command(app), ("slipway",))
        for pattern in (CITED_RULE, CITED_COUNTEREXAMPLE, CITED_CONTRACT, CITED_DECISION)
        for match in pattern.finditer(text)
    ]

    assert cited == []


def help_texts(command: Command, names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield what each command and option says of itself, by the command's full name."""
    context = Context(command)
    yield " ".join(names), command.get_help(context)
    if isinstance(command, TyperGroup):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from help_texts(below, (*names, name))
