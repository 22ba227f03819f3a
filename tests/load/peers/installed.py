"""Where the peers are installed: an environment of their own, made by `make bench-peers`."""

import json
import subprocess
from functools import cache

from tests.support.celery_process import ROOT

PLACE = ROOT / "build" / "peers"
PYTHON = PLACE / "bin" / "python"
REMEDY = "`make bench-peers` installs it"
VERSIONS = """
import importlib.metadata, json, platform, sys
found = {"Python": platform.python_version()}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


@cache
def versions(*packages: str) -> dict[str, str]:
    """Versions of those that are installed; of none if there is no such environment."""
    if not PYTHON.exists():
        return {}
    command = [str(PYTHON), "-c", VERSIONS, *packages]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    installed: dict[str, str] = json.loads(done.stdout)
    return installed


def missing(*packages: str) -> str:
    """Say which of them is not installed; empty: all are."""
    if not PYTHON.exists():
        return f"there is no {PYTHON.relative_to(ROOT)}: {REMEDY}"
    absent = [name for name in packages if name not in versions(*packages)]
    return f"{', '.join(absent)} is not in {PLACE.relative_to(ROOT)}: {REMEDY}" if absent else ""


def worded(*packages: str) -> str:
    """Name them with their versions."""
    return ", ".join(f"{name} {version}" for name, version in versions(*packages).items())
