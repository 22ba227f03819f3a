"""Packages of npm, for tests that need another's implementation; without npm they skip."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

INSTALL = ("npm", "install", "--no-save", "--no-package-lock", "--no-audit", "--no-fund",
           "--ignore-scripts", "--prefer-offline", "--loglevel=error", "--prefix")  # fmt: skip
NO_NETWORK = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONN|ETIMEDOUT|network|E404|E403", re.IGNORECASE)


def install_packages(folder: Path, *packages: str) -> Path:
    """Install *packages* in *folder*, or skip the test where that is impossible."""
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.skip("npm is not installed")
    done = run_in([*INSTALL, str(folder), *packages], folder)
    if done.returncode and NO_NETWORK.search(done.stderr):
        pytest.skip(f"npm cannot reach its registry: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr
    return folder


def run_in(command: list[str], folder: Path, text: str = "") -> "subprocess.CompletedProcess[str]":
    """Run a command there, with *text* as its input."""
    return subprocess.run(
        command,
        cwd=folder,
        input=text,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
