"""The steps of the Dockerfile, and the files of its build context."""  # noqa: INP001 - scripts of the checkout, no package

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dockerfile_parse import DockerfileParser
from dockerfile_parse.constants import COMMENT_INSTRUCTION
from pathspec import PathSpec

BASE_PATH: Final = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction, with continued lines joined; of FROM the image, with arguments filled in.

    *environment*: what the base image and the stage's ENV instructions up to here set.
    """

    line: int
    name: str
    text: str
    environment: Mapping[str, str]

    def words(self) -> list[str]:
        """Return the words behind the instruction, options included."""
        return self.text.split()

    def exec_form(self) -> list[str]:
        """Return the words of the form `["a", "b"]`, which may follow options."""
        words: list[str] = json.loads(self.text[self.text.index("[") :])
        return words


@dataclass(frozen=True, slots=True)
class Copy:
    """A COPY: sources, the stage they are in (None: the build context), target and mode."""

    sources: tuple[str, ...]
    target: str
    stage: str | None
    mode: int | None


def read_steps(dockerfile: Path) -> list[Step]:
    """Return the steps of a Dockerfile."""
    parser = DockerfileParser(str(dockerfile), parent_env={"PATH": BASE_PATH})
    base_images = iter(parser.parent_images)
    return [
        Step(
            line=instruction["startline"] + 1,
            name=instruction["instruction"],
            text=next(base_images)
            if instruction["instruction"] == "FROM"
            else " ".join(instruction["value"].split()),
            environment=context.envs,
        )
        for instruction, context in zip(parser.structure, parser.context_structure, strict=True)
        if instruction["instruction"] != COMMENT_INSTRUCTION
    ]


def read_copy(step: Step) -> Copy:
    """Read a COPY."""
    options = dict(word[2:].partition("=")[::2] for word in step.words() if word.startswith("--"))
    *sources, target = (word for word in step.words() if not word.startswith("--"))
    mode = options.get("chmod")
    return Copy(tuple(sources), target, options.get("from"), int(mode, 8) if mode else None)


def build_context(checkout: Path) -> list[Path]:
    """Return the files that .dockerignore lets into the build, relative to *checkout*."""
    patterns = (checkout / ".dockerignore").read_text(encoding="utf-8").splitlines()
    # Git's patterns match at any depth, Docker's only from the root: `!models` is `!/models`.
    anchored = [line.replace("!", "!/") if line.startswith("!") else line for line in patterns]
    ignored = PathSpec.from_lines("gitignore", anchored)
    return sorted(Path(file) for file in ignored.match_tree_files(checkout, negate=True))
