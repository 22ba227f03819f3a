"""The page *What we promise*: each promise names a test, and that test is there."""

import ast
import re

import pytest

from tests.support.sources import ROOT

FOLDER = ROOT / "producers"
PAGE = (FOLDER / "PROMISES.md").read_text(encoding="utf-8")
PROMISES = [" ".join(text.split()) for text in re.findall(r"(?ms)^- (.*?)(?=^- |^#|\Z)", PAGE)]
PROOF = re.compile(r"\(\[test\]\((\.\./tests/[\w/]+\.py)#(test_\w+)\)\)$")
PAGES = ("PUBLISH.md", "RECEIVE.md", "PROMISES.md", "README.md", "gateway/README.md", "TRY.md")


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise[:60])
def test_a_promise_ends_with_a_test_that_is_there(promise):
    proof = PROOF.search(promise)

    assert proof, "end the line with ([test](../tests/...#test_name))"
    tree = ast.parse((FOLDER / proof[1]).read_text(encoding="utf-8"))
    tests = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert proof[2] in {test.name for test in tests}
    assert all(not skipped(test) for test in tests if test.name == proof[2])


def test_every_chapter_promises_something():
    """idempotency, order, what a 2xx means, retries, times, money."""
    chapters = re.split(r"(?m)^## ", PAGE)[1:]

    assert len(chapters) >= 6
    assert all("\n- " in chapter for chapter in chapters)
    assert len(PROMISES) == PAGE.count("\n- ")


@pytest.mark.parametrize("page", PAGES)
def test_links_between_the_pages_for_backends_lead_somewhere(page):
    path = FOLDER / page
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


def skipped(test: ast.FunctionDef) -> bool:
    return any(
        "skip" in ast.unparse(mark) or "xfail" in ast.unparse(mark) for mark in test.decorator_list
    )
