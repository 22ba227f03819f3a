"""Which version of Slipway this is."""

import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Final

_PROJECT: Final = Path(__file__).parents[2] / "pyproject.toml"


@cache
def version() -> str:
    """Give the version, from what is installed or from the folder it runs in; else `unknown`."""
    try:
        return installed("slipway")
    except PackageNotFoundError:  # the image holds our dependencies, and us as a folder
        pass
    try:
        return str(tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]["version"])
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return "unknown"
