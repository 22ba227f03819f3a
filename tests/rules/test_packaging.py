"""Application mode: installing Slipway puts no module of ours on anyone's path (style.md)."""

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.sources import PRODUCT, ROOT

PINNED = re.compile(r"^(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^ ;\\]+)", re.MULTILINE)
RUNTIME = ROOT / "requirements.lock"
DEVELOPMENT = ROOT / "requirements-dev.lock"


def test_the_wheel_carries_no_code(tmp_path: Path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    assert [name for name in names if ".dist-info/" not in name] == []
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_nobody_else_owns_our_names():
    owners = packages_distributions()

    assert {name: owners[name] for name in PRODUCT if name in owners} == {}


@pytest.mark.parametrize("lock", [RUNTIME, DEVELOPMENT], ids=lambda lock: lock.name)
def test_a_lock_file_holds_hashes_and_no_address(lock: Path):
    text = lock.read_text()
    blocks = re.split(r"\n(?=\S)", text.strip())

    assert re.findall(r"\S*(?:://|@ |--index|--find-links)\S*", text) == []
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_the_lock_files_hold_what_pyproject_asks_for():
    wanted = project()
    runtime = wanted["project"]["dependencies"]
    embedded = wanted["project"]["optional-dependencies"]["embedded"]

    assert unsatisfied(runtime, RUNTIME) == []
    development = [*runtime, *embedded, *wanted["dependency-groups"]["dev"]]
    assert unsatisfied(development, DEVELOPMENT) == []


def test_the_image_runs_what_the_tests_ran():
    tested = pinned(DEVELOPMENT)

    other = {name: version for name, version in pinned(RUNTIME).items() if version != tested[name]}
    assert other == {}


def test_the_embedded_servers_stay_out_of_the_image():
    embedded = project()["project"]["optional-dependencies"]["embedded"]

    names = {canonicalize_name(Requirement(line).name) for line in embedded}
    assert names & pinned(RUNTIME).keys() == set()


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def pinned(lock: Path) -> dict[str, str]:
    pins = PINNED.finditer(lock.read_text())
    return {canonicalize_name(match["name"]): match["version"] for match in pins}


def unsatisfied(requirements: list[str], lock: Path) -> list[str]:
    versions = pinned(lock)
    wanted = [Requirement(line) for line in requirements]
    return [
        str(requirement)
        for requirement in wanted
        if not requirement.specifier.contains(
            versions.get(canonicalize_name(requirement.name), "0")
        )
    ]
