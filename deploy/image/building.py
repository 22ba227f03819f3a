"""Performs the steps of the Dockerfile in a folder, without a container engine."""  # noqa: INP001 - scripts of the checkout, no package

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deploy.image.dockerfile import BASE_PATH, Copy, Step, build_context, read_copy

# Only an image can do this; the rehearsal reports that it skips it.
_SYSTEM_COMMANDS: Final = ("apt-get", "groupadd")
_BIN: Final = "/usr/local/bin"
_ABSOLUTE_PATH: Final = re.compile(r"(?<![\w./:-])/(\w+)")
_NETWORK_ERROR: Final = re.compile(
    r"dns error|name resolution|not known|unreachable|timed out|Connection refused|"
    r"connect error|error sending request",
    re.IGNORECASE,
)
_NETWORK_VARIABLE: Final = re.compile(
    r"HOME$|UV_|SSL_|PIP_(CERT|DEFAULT_TIMEOUT|INDEX_URL)$|(https?|no|all)_proxy$", re.IGNORECASE
)


class StepFailed(Exception):
    """A step failed; the message names it and holds the last lines of its output."""


class NoNetwork(StepFailed):
    """A step failed because a package index was unreachable."""


@dataclass(slots=True)
class Image:
    """What the steps have made so far: a folder that stands for `/`, and a container's settings."""

    root: Path
    folders: frozenset[str] = frozenset()  # top-level ones that the steps make: `app`, `opt`
    environment: Mapping[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: int = 0
    entrypoint: list[str] = field(default_factory=list)

    def inside(self, path: str) -> Path:
        """Return the place of an absolute path of the image, or one relative to its WORKDIR."""
        return self.root / (Path(self.workdir) / path).relative_to("/")

    def translate(self, text: str) -> str:
        """Return *text* with its paths below `folders` leading into `root`."""
        return re.sub(rf"(?<![\w./-])/(?=({'|'.join(self.folders)})\b)", f"{self.root}/", text)


class Build:
    """Follows a Dockerfile step by step. Stages share a folder: what no stage copies is removed."""

    def __init__(self, checkout: Path, root: Path, say: Callable[[str], None]) -> None:
        """Build the files of *checkout* into *root*, an empty folder."""
        self._checkout = checkout
        self._image = Image(root)
        self._say = say
        self._files = build_context(checkout)

    def image(self, steps: list[Step]) -> Image:
        """Perform all steps. Raises StepFailed if one fails, NoNetwork if that is the reason."""
        copies = [read_copy(step) for step in steps if step.name == "COPY"]
        from_stages = [copy for copy in copies if copy.stage]
        places = [copy.target for copy in copies]
        places += [step.text for step in steps if step.name == "WORKDIR"]
        folders = frozenset(Path(place).parts[1] for place in places if place.startswith("/"))
        self._image = Image(self._image.root, folders)
        for step in steps:
            self._perform(step, from_stages)
        return self._image

    def _perform(self, step: Step, from_stages: list[Copy]) -> None:
        image = self._image
        match step.name:
            case "FROM":
                self._begin_stage(step.text, from_stages)
            case "WORKDIR":
                image.workdir = step.text
                image.inside("").mkdir(parents=True, exist_ok=True)
            case "COPY":
                self._copy(read_copy(step))
            case "RUN" if step.text.startswith(_SYSTEM_COMMANDS):
                self._say(f"skipped, since it changes the system: {step.text}")
            case "RUN":
                self._run(step)
            case "USER":
                image.user = int(step.text.partition(":")[0])
            case "ENTRYPOINT":
                image.entrypoint = step.exec_form()
            case "ENV":
                image.environment = step.environment
            case "ARG" | "LABEL" | "EXPOSE" | "HEALTHCHECK" | "CMD":
                pass  # they make no file
            case _:
                raise StepFailed(f"line {step.line}: the rehearsal does not support {step.name}")

    def _begin_stage(self, base: str, from_stages: list[Copy]) -> None:
        """Keep what later stages copy; put a Python in place of the base image's."""
        kept = {Path(source).parts[1] for copy in from_stages for source in copy.sources}
        for path in self._image.root.iterdir():
            if path.name not in kept:
                shutil.rmtree(path)
        self._image = image = Image(self._image.root, self._image.folders)
        programs = image.inside(_BIN)
        programs.mkdir(parents=True)
        python = stand_in(base)
        (programs / "python").symlink_to(python)
        pip = programs / "pip"
        pip.write_text(f"#!/bin/sh\n{_installer(python)}\n")
        pip.chmod(0o755)
        self._say(f"from {base}: {python} stands in")

    def _copy(self, copy: Copy) -> None:
        target = self._image.inside(copy.target)
        if copy.stage:
            assert copy.sources == (copy.target,), "stages share a folder: copy to the same path"
            return
        many = len(copy.sources) > 1 or copy.target.endswith("/")
        for source in copy.sources:
            files = [file for file in self._files if file.is_relative_to(source)]
            if not files:
                raise StepFailed(f"COPY {source}: .dockerignore excludes all of it")
            for file in files:
                place = (target / file.name if many else target) / file.relative_to(source)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self._checkout / file, place)
                place.chmod(copy.mode or 0o644)

    def _run(self, step: Step) -> None:
        self._say(f"run {step.text}")
        image = self._image
        foreign = set(_ABSOLUTE_PATH.findall(step.text)) - image.folders
        if foreign:
            raise StepFailed(
                f"line {step.line}, RUN: /{', /'.join(foreign)} would be on this machine"
            )
        completed = subprocess.run(
            ["/bin/sh", "-ec", image.translate(step.text)],
            cwd=image.inside(""),
            env=_network_variables() | running_environment(image),
            capture_output=True,
            text=True,
            check=False,
        )
        if completed.returncode:
            output = "\n".join((completed.stdout + completed.stderr).splitlines()[-15:])
            kind = NoNetwork if _NETWORK_ERROR.search(output) else StepFailed
            raise kind(
                f"line {step.line}, RUN {step.text}: exit code {completed.returncode}\n{output}"
            )


def _network_variables() -> dict[str, str]:
    """Return what this machine needs to reach a package index, and its caches."""
    return {name: value for name, value in os.environ.items() if _NETWORK_VARIABLE.match(name)}


def running_environment(image: Image) -> dict[str, str]:
    """Return the whole environment of a process in the image."""
    environment = {"PATH": BASE_PATH, **image.environment, "LANG": "C.UTF-8"}
    translated = {name: image.translate(value) for name, value in environment.items()}
    translated["PATH"] = translated["PATH"].replace(_BIN, str(image.inside(_BIN)))
    return translated


def stand_in(base: str) -> Path:
    """Find a Python of the version that *base* names; otherwise the one that runs this.

    The system's own comes first: ours may be where the image's user cannot reach it.
    """
    version = re.search(r"python:(\d+\.\d+)", base)
    assert version is not None, f"{base} is not a Python"
    folder = Path(sysconfig.get_config_var("BINDIR"))
    candidates = [place / f"python{version[1]}" for place in (Path("/usr/bin"), folder)]
    ours = folder / f"python{sys.version_info.major}.{sys.version_info.minor}"
    return next((path for path in candidates if path.exists()), ours)


def _installer(python: Path) -> str:
    """Return the line that runs pip: uv, which caches what it downloads, if it is installed."""
    uv = Path(sys.executable).with_name("uv")
    if uv.exists():
        return f'UV_PYTHON="$PIP_PYTHON" UV_LINK_MODE=copy exec {uv} pip "$@" --compile-bytecode'
    return f'exec {python} -m pip "$@"'
