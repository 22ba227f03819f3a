"""The repository's own files, for tests that read them."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = ("models", "worker", "producers")
SKIPPED = {"__pycache__", "node_modules", "build", "dist", "vendor"}
SHOWN = {".ci", ".github"}  # the hidden folders that are part of the repository


def texts() -> Iterator[tuple[Path, str]]:
    """Yield every text file of the repository, by its path from the root, with its content."""
    for path in _files(ROOT):
        try:
            yield path.relative_to(ROOT), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def modules(*packages: str) -> Iterator[tuple[Path, str]]:
    """Yield every Python file of the given top-level folders, by its path, with its source."""
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT), path.read_text(encoding="utf-8")


def dotted(path: Path) -> str:
    """Return the name under which a file is imported."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def named(path: Path, source: str) -> set[str]:
    """Return every module that *source* imports or names in a string, and files it names.

    `from a import b` names `a` and `a.b`; `"a.b:c"` and `"a.b.c"`, as Celery and uvicorn take
    them, name all their beginnings; `"guard.py"` names the file of that name in the same folder.
    """
    package = path.parent.parts
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                names.update(alias.name for alias in node.names)
            case ast.ImportFrom():
                start = package[: len(package) - node.level + 1] if node.level else ()
                module = ".".join((*start, *([node.module] if node.module else [])))
                names.update({module, *(f"{module}.{alias.name}" for alias in node.names)})
            case ast.Constant(value=str(text)) if text.endswith(".py"):
                names.add(".".join((*package, text.removesuffix(".py"))))
            case ast.Constant(value=str(text)) if text.startswith(PRODUCT):
                names.update(beginnings(text))
    return names


def beginnings(text: str) -> set[str]:
    """Return "a", "a.b" and "a.b.c" for "a.b:c"."""
    parts = text.replace(":", ".").split(".")
    return {".".join(parts[:end]) for end in range(1, len(parts) + 1)}


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            hidden = path.name.startswith(".") and path.name not in SHOWN
            if not hidden and path.name not in SKIPPED:
                yield from _files(path)
        elif not path.is_symlink() and path.name != ".git":  # a file in a worktree
            yield path
