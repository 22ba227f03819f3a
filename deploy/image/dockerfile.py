"""Reads a Dockerfile as far as ours goes."""  # noqa: INP001 - scripts of the checkout, no package

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

KNOWN: Final = {
    "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN",
    "USER", "WORKDIR",
}  # fmt: skip
_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


class DockerfileError(ValueError):
    """The Dockerfile says something that is not understood here; the message names the line."""


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction, with its continued lines joined."""

    line: int
    name: str
    text: str

    def words(self) -> list[str]:
        """Give the words behind the instruction, options included."""
        return self.text.split()

    def listed(self) -> list[str]:
        """Give the words of the form `["a", "b"]`, wherever it begins."""
        words: list[str] = json.loads(self.text[self.text.index("[") :])
        return words


@dataclass(frozen=True, slots=True)
class Copy:
    """A COPY: what, from which stage (None: the checkout), where to, and with which mode."""

    sources: tuple[str, ...]
    target: str
    stage: str | None
    mode: int | None


def read_steps(text: str) -> list[Step]:
    """Give the steps of a Dockerfile. Raises DockerfileError at an instruction not known here."""
    steps: list[Step] = []
    pending, begun = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("#") or not line.strip():
            continue
        begun = begun if pending else number
        pending += line.strip()
        if pending.endswith("\\"):
            pending = pending[:-1]
            continue
        name, _, rest = pending.partition(" ")
        if name not in KNOWN:
            raise DockerfileError(f"line {begun}: {name} is not understood by the rehearsal")
        steps.append(Step(begun, name, " ".join(rest.split())))
        pending = ""
    return steps


def assignments(step: Step) -> dict[str, str]:
    """Read `NAME=value NAME=value` of an ENV or ARG; values hold no spaces here."""
    return dict(word.partition("=")[::2] for word in step.words())


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """Put in the variables; one that is not set is empty."""
    return _VARIABLE.sub(lambda found: variables.get(found[1] or found[2], ""), text)


def read_copy(step: Step) -> Copy:
    """Read a COPY."""
    options = dict(word[2:].partition("=")[::2] for word in step.words() if word.startswith("--"))
    *sources, target = (word for word in step.words() if not word.startswith("--"))
    mode = options.get("chmod")
    return Copy(tuple(sources), target, options.get("from"), int(mode, 8) if mode else None)


def context(root: Path) -> Iterator[Path]:
    """Give the files that .dockerignore lets into the build, by their paths from *root*."""
    rules = [
        line.strip()
        for line in (root / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.startswith("#")
    ]
    tops = {rule[1:].split("/")[0] for rule in rules if rule.startswith("!")}
    for top in sorted(tops):
        inside = (root / top).rglob("*") if (root / top).is_dir() else [root / top]
        for path in inside:
            if path.is_file() and _kept(path.relative_to(root), rules):
                yield path.relative_to(root)


def _kept(path: Path, rules: list[str]) -> bool:
    """Tell what the last rule that fits says."""
    kept = True
    for rule in rules:
        if any(_fits(name, rule.removeprefix("!")) for name in (path, *path.parents)):
            kept = rule.startswith("!")
    return kept


def _fits(path: Path, pattern: str) -> bool:
    anywhere = pattern.removeprefix("**/")
    if anywhere != pattern:
        return fnmatchcase(path.name, anywhere)
    return len(path.parts) == pattern.count("/") + 1 and fnmatchcase(str(path), pattern)
