"""Does the steps of the Dockerfile in a folder, without an engine."""  # noqa: INP001 - scripts of the checkout, no package

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deploy.image.dockerfile import Copy, Step, assignments, context, expanded, read_copy

# What only an image can do; the rehearsal says that it was left out.
_OF_THE_SYSTEM: Final = ("apt-get", "groupadd")
_SYSTEM_PATH: Final = "/usr/bin:/bin"
_ENGINE_PATH: Final = "/usr/local/bin"
_ABSOLUTE: Final = re.compile(r"(?<![\w./:-])/(\w+)")
_NO_NETWORK: Final = re.compile(
    r"dns error|name resolution|not known|unreachable|timed out|Connection refused|"
    r"connect error|error sending request",
    re.IGNORECASE,
)
_OF_THE_NETWORK: Final = re.compile(
    r"HOME$|UV_|SSL_|PIP_(CERT|DEFAULT_TIMEOUT|INDEX_URL)$|(https?|no|all)_proxy$", re.IGNORECASE
)


class StepFailed(Exception):
    """A step did not succeed; the message names it and holds its last lines."""


class NoNetwork(StepFailed):
    """A step could not reach what it wanted to install."""


@dataclass(slots=True)
class Image:
    """What the steps have made so far: a folder that stands for `/`, and what containers get."""

    root: Path
    tops: frozenset[str] = frozenset()  # of its folders, which only the steps know: `app`, `opt`
    environment: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: int = 0
    entrypoint: list[str] = field(default_factory=list)

    def inside(self, path: str) -> Path:
        """Give the place of an absolute path of the image, or one relative to its WORKDIR."""
        return self.root / (Path(self.workdir) / path).relative_to("/")

    def translated(self, text: str) -> str:
        """*text*, its paths below `tops` leading into the folder instead."""
        return re.sub(rf"(?<![\w./-])/(?=({'|'.join(self.tops)})\b)", f"{self.root}/", text)


class Build:
    """Follows a Dockerfile step by step. Stages share one folder: what no one copies is removed."""

    def __init__(self, checkout: Path, root: Path, say: Callable[[str], None]) -> None:
        """Build the files of *checkout* into *root*, an empty folder."""
        self._checkout = checkout
        self._image = Image(root)
        self._say = say
        self._arguments: dict[str, str] = {}
        self._files = list(context(checkout))

    def image(self, steps: list[Step]) -> Image:
        """Do all steps. Raises StepFailed at the first that fails, NoNetwork if that is why."""
        copies = [read_copy(step) for step in steps if step.name == "COPY"]
        wanted = [copy for copy in copies if copy.stage]
        places = [copy.target for copy in copies]
        places += [step.text for step in steps if step.name == "WORKDIR"]
        tops = frozenset(Path(place).parts[1] for place in places if place.startswith("/"))
        self._image = Image(self._image.root, tops)
        for step in steps:
            self._do(step, wanted)
        return self._image

    def _do(self, step: Step, wanted: list[Copy]) -> None:
        image = self._image
        match step.name:
            case "ARG":
                self._arguments |= assignments(step)
            case "FROM":
                self._begin_stage(expanded(step.text, self._arguments), wanted)
            case "ENV":
                text = expanded(step.text, {"PATH": image.environment.get("PATH", "")})
                image.environment |= assignments(Step(step.line, step.name, text))
            case "WORKDIR":
                image.workdir = step.text
                image.inside("").mkdir(parents=True, exist_ok=True)
            case "COPY":
                self._copy(read_copy(step))
            case "RUN" if step.text.startswith(_OF_THE_SYSTEM):
                self._say(f"left out, for it changes the system: {step.text}")
            case "RUN":
                self._run(step)
            case "USER":
                image.user = int(step.text.partition(":")[0])
            case "ENTRYPOINT":
                image.entrypoint = step.listed()
            # LABEL, EXPOSE, HEALTHCHECK and CMD make nothing.

    def _begin_stage(self, base: str, wanted: list[Copy]) -> None:
        """Keep what later stages copy; put a Python in the place of the base image's."""
        kept = {Path(source).parts[1] for copy in wanted for source in copy.sources}
        for path in self._image.root.iterdir():
            if path.name not in kept:
                shutil.rmtree(path)
        self._image = image = Image(self._image.root, self._image.tops)
        image.environment["PATH"] = f"{_ENGINE_PATH}:{_SYSTEM_PATH}"
        programs = image.inside(_ENGINE_PATH)
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
            assert copy.sources == (copy.target,), "stages share a folder: copy to the same place"
            return
        many = len(copy.sources) > 1 or copy.target.endswith("/")
        for source in copy.sources:
            files = [file for file in self._files if file.is_relative_to(source)]
            if not files:
                raise StepFailed(f"COPY {source}: .dockerignore lets nothing of it through")
            for file in files:
                place = (target / file.name if many else target) / file.relative_to(source)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self._checkout / file, place)
                place.chmod(copy.mode or 0o644)

    def _run(self, step: Step) -> None:
        self._say(f"run {step.text}")
        image = self._image
        stray = set(_ABSOLUTE.findall(step.text)) - image.tops
        if stray:
            raise StepFailed(f"line {step.line}, RUN: /{', /'.join(stray)} would be this machine's")
        done = subprocess.run(
            ["/bin/sh", "-ec", image.translated(step.text)],
            cwd=image.inside(""),
            env=_network() | running_environment(image),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            last = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
            kind = NoNetwork if _NO_NETWORK.search(last) else StepFailed
            raise kind(f"line {step.line}, RUN {step.text}: exit code {done.returncode}\n{last}")


def _network() -> dict[str, str]:
    """Give what this machine needs to reach a package index, and its caches."""
    return {name: value for name, value in os.environ.items() if _OF_THE_NETWORK.match(name)}


def running_environment(image: Image) -> dict[str, str]:
    """Give the whole environment of a process in the image."""
    found = {name: image.translated(value) for name, value in image.environment.items()}
    engine = str(image.inside(_ENGINE_PATH))
    return found | {"PATH": found["PATH"].replace(_ENGINE_PATH, engine), "LANG": "C.UTF-8"}


def stand_in(base: str) -> Path:
    """Find a Python of the version that *base* names; else the one that runs this stands in.

    The system's own first: ours may lie where the image's user cannot reach it.
    """
    version = re.search(r"python:(\d+\.\d+)", base)
    assert version is not None, f"{base} is not a Python"
    folder = Path(sysconfig.get_config_var("BINDIR"))
    found = [place / f"python{version[1]}" for place in (Path("/usr/bin"), folder)]
    ours = folder / f"python{sys.version_info.major}.{sys.version_info.minor}"
    return next((path for path in found if path.exists()), ours)


def _installer(python: Path) -> str:
    """Write the line that runs pip: uv, which keeps what it has fetched, where it is installed."""
    uv = Path(sys.executable).with_name("uv")
    if uv.exists():
        return f'UV_PYTHON="$PIP_PYTHON" UV_LINK_MODE=copy exec {uv} pip "$@" --compile-bytecode'
    return f'exec {python} -m pip "$@"'
