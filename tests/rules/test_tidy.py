"""The repository keeps its own rules: sizes, names, nothing left over, nothing dead."""

import ast
import io
import re
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.support.sources import PRODUCT, ROOT, beginnings, dotted, modules, named, texts

MODULE_LINES_MAX = 400  # most need far fewer; one idea is not torn apart for a number
# Modules that are longer all the same, with their present length. The list may only shrink: a
# module on it does not grow, and one that became shorter gets its new length or comes off.
LONG_MODULES: dict[str, int] = {}
FUNCTION_LINES_MAX = 50
EMPTY_NAMES = {"base", "common", "helpers", "manager", "utils"}  # they say nothing of the trade

# A migration is one statement after another, written once and never changed again.
MIGRATIONS = Path("models/migrations/versions")

LEFT_OVER = re.compile(r"\b(T[O]DO|FIX[M]E)\b")  # brackets: this line is read, too
MACHINE_PATH = re.compile(r"(?<![\w.~])/(work|root|home|Users|tmp)/\w")
# The hosts are written so that this page does not name them itself.
REGISTRY = re.compile(r"py[p]i\.org|python[h]osted\.org|docker[.]io|(?:gh|g)cr[.]io|qua[y]\.io")
# A suppression, then its code, a dash or another hash, and what it is good for.
SUPPRESSION = re.compile(r"#\s*(noqa|type:\s*ignore)(?P<rest>.*)")
REASON = re.compile(r"(: ?[A-Z]+[0-9]+(, ?[A-Z]+[0-9]+)*|\[[a-z, -]+\])\s*(-|#)\s+\S")


def test_no_further_module_is_long_and_the_long_ones_shrink():
    long = {
        str(path): lines
        for path, source in modules(*PRODUCT, "tests")
        if (lines := source.count("\n")) > MODULE_LINES_MAX and MIGRATIONS not in path.parents
    }

    assert long == LONG_MODULES, f"over {MODULE_LINES_MAX} lines: split by subject; keep the list"


def test_functions_fit_on_a_screen():
    long = {
        f"{path}:{function.lineno} {function.name}": lines
        for path, source in modules(*PRODUCT, "tests")
        if MIGRATIONS not in path.parents
        for function in functions(source)
        if (lines := length(function)) > FUNCTION_LINES_MAX
    }

    assert long == {}, f"more than {FUNCTION_LINES_MAX} lines: give their steps names"


def test_modules_are_named_for_what_they_know():
    nameless = [str(path) for path, _ in modules(*PRODUCT, "tests") if EMPTY_NAMES & words(path)]

    assert nameless == []


def test_nothing_is_left_for_later():
    assert lines_with(LEFT_OVER) == []


def test_no_file_knows_the_machine_it_was_written_on():
    assert lines_with(MACHINE_PATH) == []


def test_no_file_names_a_package_registry():
    assert lines_with(REGISTRY) == []


def test_every_suppression_carries_its_reason():
    bare = [
        f"{path}:{line} {comment}"
        for path, source in modules(*PRODUCT, "tests")
        if SUPPRESSION.search(source)
        for line, comment in comments(source)
        if (suppression := SUPPRESSION.search(comment)) and not REASON.match(suppression["rest"])
    ]

    assert bare == [], "write `# noqa: CODE - why` or `# type: ignore[code]  # why`"


def test_every_module_is_used_by_the_product():
    """Imported, named in a string (Celery, uvicorn), in the Procfile or pyproject.toml, or run."""
    used = set().union(*(named(path, source) for path, source in modules(*PRODUCT)))
    for text in ((ROOT / "Procfile").read_text(), *scripts()):
        for word in re.findall(r"[\w.:]+", text):
            used |= beginnings(word)
    dead = [
        str(path)
        for path, source in modules(*PRODUCT)
        if dotted(path) not in used
        and "migrations" not in path.parts  # found by Alembic
        and path.name != "__main__.py"  # run by `python -m`, as is what asks for it:
        and 'if __name__ == "__main__":' not in source
        and not any(name.startswith(f"{dotted(path)}.") for name in used)  # a package's __init__
    ]

    assert dead == [], "nothing uses them: wire them in or delete them"


def test_celery_is_never_asked_to_keep_the_time():
    """On Redis, a task with a long delay runs several times; the tables keep the time."""
    delayed = [
        f"{path}:{call.lineno}"
        for path, source in modules(*PRODUCT)
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call) and any(delays(keyword) for keyword in call.keywords)
    ]

    assert delayed == []


def delays(keyword: ast.keyword) -> bool:
    """An `eta=None`, as Celery's own events have it, delays nothing."""
    unset = isinstance(keyword.value, ast.Constant) and keyword.value.value is None
    return keyword.arg in {"eta", "countdown"} and not unset


def functions(source: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def words(path: Path) -> set[str]:
    return {word for part in path.with_suffix("").parts for word in part.split("_")}


def comments(source: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path}:{number} {line.strip()[:120]}"
        for path, text in texts()
        if pattern.search(text)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def scripts() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return list(project["project"]["scripts"].values())
